// A few threads that run tasks, the newest first: so a walk goes deep before it goes wide, and what
// is open at once stays few. Work on files goes before work on folders: it ends what is open.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace recover::backup {

class TaskPool {
 public:
  enum class Kind { Folder, File };
  // Told which of the pool's threads runs it: 0 to threads - 1.
  using Task = std::function<void(unsigned thread)>;

  explicit TaskPool(unsigned threads);
  TaskPool(const TaskPool&) = delete;
  TaskPool& operator=(const TaskPool&) = delete;
  // Runs what is left.
  ~TaskPool();

  void add(Kind kind, Task task);
  // Waits until no task is left or running. Tasks may add tasks.
  void finish();
  // Whether a thread would take a task at once.
  bool has_idle() const;
  unsigned threads() const noexcept { return static_cast<unsigned>(threads_.size()); }

 private:
  void run(unsigned thread);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Task> folders_;
  std::vector<Task> files_;
  unsigned busy_ = 0;
  bool closing_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace recover::backup
