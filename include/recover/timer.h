// One-shot deadlines: something happens at an instant unless it is cancelled first.
//
// Entries are intrusive and owned by the caller, so arming one allocates nothing once the queue has
// grown to its working size. Not for periodic work and not for long callbacks: all callbacks of a
// timer share one thread. Invariant: after cancel() has returned, the entry's callback neither runs
// nor will run.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <limits>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include <recover/time.h>

namespace recover {

// Entries armed at once on one timer.
inline constexpr std::size_t kTimerEntriesMax = 65'536;

class Timer {
 public:
  // What to do at a deadline. REQUIRES: disarmed (fired or cancelled) before it is destroyed.
  class Entry {
   public:
    Entry() = default;
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    virtual ~Entry();

   private:
    friend class DeadlineQueue;
    static constexpr std::size_t kNotQueued = std::numeric_limits<std::size_t>::max();

    // Called once, with no lock of the timer held. Must be short. May schedule and cancel other
    // entries; must not schedule this one.
    virtual void expired() noexcept = 0;

    Instant deadline_ = kNever;
    std::size_t position_ = kNotQueued;
  };

  Timer() = default;
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;
  virtual ~Timer() = default;

  // Arms `entry`; a deadline that has passed fires at once, never inside this call. Any thread.
  // False: not armed, because kTimerEntriesMax are already or the timer has no thread to fire on.
  // REQUIRES: entry not armed.
  virtual bool schedule(Entry& entry, Instant deadline) = 0;

  // Disarms `entry`, and waits for its callback if that is running on another thread. Any thread.
  // True: it was armed and will not fire. False: it fired, or was never armed.
  virtual bool cancel(Entry& entry) = 0;
};

// The armed entries of one timer, earliest first: a binary heap whose entries know their place.
// Any thread.
class DeadlineQueue {
 public:
  DeadlineQueue() = default;
  DeadlineQueue(const DeadlineQueue&) = delete;
  DeadlineQueue& operator=(const DeadlineQueue&) = delete;
  ~DeadlineQueue();

  // The members below take the caller's lock on mutex() as proof; fire_first releases it while the
  // callback runs.
  using Lock = std::unique_lock<std::mutex>;
  std::mutex& mutex() noexcept { return mutex_; }

  bool push(const Lock& lock, Timer::Entry& entry, Instant deadline);
  bool cancel(Lock& lock, Timer::Entry& entry);
  // Runs the callback of the earliest entry when that is due. False: nothing is due.
  bool fire_first(Lock& lock, Instant now);
  // kNever when nothing is armed.
  Instant first_deadline(const Lock& lock) const noexcept;

 private:
  void place(std::size_t position, Timer::Entry& entry) noexcept;
  void sift_up(std::size_t position) noexcept;
  void sift_down(std::size_t position) noexcept;
  void remove(Timer::Entry& entry) noexcept;

  std::mutex mutex_;
  std::vector<Timer::Entry*> heap_;
  Timer::Entry* running_ = nullptr;
  std::thread::id running_on_;
  std::condition_variable finished_;
};

// Fires on a background thread of its own, on SteadyClock time. The thread starts with the first
// schedule() and is joined by the destructor; entries still armed then never fire. It wakes for a
// deadline only, not for each schedule(). A forked child must not use its parent's timer.
class ThreadTimer final : public Timer {
 public:
  ThreadTimer() = default;
  ThreadTimer(const ThreadTimer&) = delete;
  ThreadTimer& operator=(const ThreadTimer&) = delete;
  ~ThreadTimer() override;

  // The one that policies use by default.
  static ThreadTimer& instance();

  bool schedule(Entry& entry, Instant deadline) override;
  bool cancel(Entry& entry) override;

 private:
  static constexpr Instant kAwake = Instant::min();

  bool start();
  void run();

  DeadlineQueue queue_;
  std::condition_variable wake_;
  Instant sleeping_until_ = kAwake;  // Guarded by queue_.mutex(), like the two below.
  bool stopping_ = false;
  std::thread thread_;
};

// Fires when a test or a simulator says so, on the thread that says it.
class ManualTimer final : public Timer {
 public:
  // REQUIRES: clock outlives the timer.
  explicit ManualTimer(Clock& clock) noexcept : clock_(clock) {}

  bool schedule(Entry& entry, Instant deadline) override;
  bool cancel(Entry& entry) override;

  // Fires everything due at the clock's present, earliest first. Returns how many fired.
  // REQUIRES: one thread at a time.
  std::size_t run_due();

 private:
  Clock& clock_;
  DeadlineQueue queue_;
};

// Blocks until `signal` is requested, `deadline` is reached or `stop` is requested, whichever is
// first; true when the signal came. Lets a wait for another thread run on an injected clock: a
// ManualClock jumps to the deadline instead of blocking. Without a deadline no clock has a say.
bool wait_for_signal(Clock& clock, Instant deadline, const std::stop_token& signal,
                     const std::stop_token& stop);

}  // namespace recover
