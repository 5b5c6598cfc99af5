#include "backup/local/task_pool.h"

#include <utility>

namespace recover::backup {

TaskPool::TaskPool(unsigned threads) {
  threads_.reserve(threads);
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this, i] { run(i); });
}

TaskPool::~TaskPool() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void TaskPool::add(Kind kind, Task task) {
  {
    const std::lock_guard lock(mutex_);
    (kind == Kind::File ? files_ : folders_).push_back(std::move(task));
  }
  changed_.notify_one();
}

bool TaskPool::has_idle() const {
  const std::lock_guard lock(mutex_);
  return busy_ + files_.size() + folders_.size() < threads_.size();
}

void TaskPool::finish() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return files_.empty() && folders_.empty() && busy_ == 0; });
}

void TaskPool::run(unsigned thread) {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return closing_ || !files_.empty() || !folders_.empty(); });
    std::vector<Task>& tasks = files_.empty() ? folders_ : files_;
    if (tasks.empty()) return;
    Task task = std::move(tasks.back());
    tasks.pop_back();
    ++busy_;
    lock.unlock();
    task(thread);
    task = nullptr;
    lock.lock();
    --busy_;
    if (busy_ == 0 && files_.empty() && folders_.empty()) changed_.notify_all();
  }
}

}  // namespace recover::backup
