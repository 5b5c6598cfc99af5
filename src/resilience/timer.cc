#include <system_error>

#include <recover/check.h>
#include <recover/timer.h>

namespace recover {

Timer::Entry::~Entry() {
  RECOVER_CHECK(position_ == kNotQueued);
}

DeadlineQueue::~DeadlineQueue() {
  for (Timer::Entry* entry : heap_) entry->position_ = Timer::Entry::kNotQueued;
}

bool DeadlineQueue::push(const Lock& lock, Timer::Entry& entry, Instant deadline) {
  RECOVER_CHECK(lock.owns_lock());
  RECOVER_CHECK(entry.position_ == Timer::Entry::kNotQueued);
  if (heap_.size() >= kTimerEntriesMax) return false;
  entry.deadline_ = deadline;
  heap_.push_back(&entry);
  entry.position_ = heap_.size() - 1;
  sift_up(entry.position_);
  return true;
}

bool DeadlineQueue::cancel(Lock& lock, Timer::Entry& entry) {
  RECOVER_CHECK(lock.owns_lock());
  if (entry.position_ != Timer::Entry::kNotQueued) {
    remove(entry);
    return true;
  }
  // A callback may cancel its own entry; it must not wait for itself.
  if (running_on_ != std::this_thread::get_id()) {
    finished_.wait(lock, [&] { return running_ != &entry; });
  }
  return false;
}

bool DeadlineQueue::fire_first(Lock& lock, Instant now) {
  RECOVER_CHECK(lock.owns_lock());
  if (heap_.empty() || heap_.front()->deadline_ > now) return false;
  Timer::Entry& entry = *heap_.front();
  remove(entry);
  running_ = &entry;
  running_on_ = std::this_thread::get_id();
  lock.unlock();
  entry.expired();
  lock.lock();
  running_ = nullptr;
  running_on_ = {};
  finished_.notify_all();
  return true;
}

Instant DeadlineQueue::first_deadline(const Lock& lock) const noexcept {
  RECOVER_CHECK(lock.owns_lock());
  return heap_.empty() ? kNever : heap_.front()->deadline_;
}

void DeadlineQueue::place(std::size_t position, Timer::Entry& entry) noexcept {
  heap_[position] = &entry;
  entry.position_ = position;
}

void DeadlineQueue::sift_up(std::size_t position) noexcept {
  Timer::Entry& entry = *heap_[position];
  while (position > 0) {
    const std::size_t parent = (position - 1) / 2;
    if (heap_[parent]->deadline_ <= entry.deadline_) break;
    place(position, *heap_[parent]);
    position = parent;
  }
  place(position, entry);
}

void DeadlineQueue::sift_down(std::size_t position) noexcept {
  Timer::Entry& entry = *heap_[position];
  for (;;) {
    std::size_t child = 2 * position + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && heap_[child + 1]->deadline_ < heap_[child]->deadline_) ++child;
    if (entry.deadline_ <= heap_[child]->deadline_) break;
    place(position, *heap_[child]);
    position = child;
  }
  place(position, entry);
}

void DeadlineQueue::remove(Timer::Entry& entry) noexcept {
  const std::size_t hole = entry.position_;
  Timer::Entry& last = *heap_.back();
  heap_.pop_back();
  entry.position_ = Timer::Entry::kNotQueued;
  if (&last == &entry) return;
  place(hole, last);
  sift_up(hole);
  sift_down(last.position_);
}

ThreadTimer::~ThreadTimer() {
  {
    const DeadlineQueue::Lock lock(queue_.mutex());
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

ThreadTimer& ThreadTimer::instance() {
  static ThreadTimer timer;
  return timer;
}

bool ThreadTimer::schedule(Entry& entry, Instant deadline) {
  bool too_late_to_sleep = false;
  {
    const DeadlineQueue::Lock lock(queue_.mutex());
    if (!thread_.joinable() && !start()) return false;
    if (!queue_.push(lock, entry, deadline)) return false;
    too_late_to_sleep = deadline < sleeping_until_;
  }
  if (too_late_to_sleep) wake_.notify_one();
  return true;
}

bool ThreadTimer::start() {
  try {
    thread_ = std::thread([this] { run(); });
    return true;
  } catch (const std::system_error&) {  // Out of threads; the next schedule() tries again.
    return false;
  }
}

bool ThreadTimer::cancel(Entry& entry) {
  DeadlineQueue::Lock lock(queue_.mutex());
  return queue_.cancel(lock, entry);
}

void ThreadTimer::run() {
  DeadlineQueue::Lock lock(queue_.mutex());
  while (!stopping_) {
    if (queue_.fire_first(lock, SteadyClock::instance().now())) continue;
    sleeping_until_ = queue_.first_deadline(lock);
    if (sleeping_until_ == kNever) {
      wake_.wait(lock);
    } else {
      wake_.wait_until(lock, sleeping_until_);
    }
    sleeping_until_ = kAwake;
  }
}

bool ManualTimer::schedule(Entry& entry, Instant deadline) {
  const DeadlineQueue::Lock lock(queue_.mutex());
  return queue_.push(lock, entry, deadline);
}

bool ManualTimer::cancel(Entry& entry) {
  DeadlineQueue::Lock lock(queue_.mutex());
  return queue_.cancel(lock, entry);
}

std::size_t ManualTimer::run_due() {
  DeadlineQueue::Lock lock(queue_.mutex());
  std::size_t fired = 0;
  while (queue_.fire_first(lock, clock_.now())) ++fired;
  return fired;
}

bool wait_for_signal(Clock& clock, Instant deadline, const std::stop_token& signal,
                     const std::stop_token& stop) {
  std::stop_source wake;
  const auto forward = [&wake] { wake.request_stop(); };
  const std::stop_callback on_signal(signal, forward);
  const std::stop_callback on_stop(stop, forward);
  Clock& timekeeper = deadline == kNever ? SteadyClock::instance() : clock;
  timekeeper.wait_until(deadline, wake.get_token());
  return signal.stop_requested();
}

}  // namespace recover
