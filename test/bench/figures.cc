// The figures of the README that Google Benchmark does not give: instructions a call, and what
// sharing one policy among threads costs beside sharing one atomic counter. One JSON object a line.
//
// Instructions are counted by single-stepping a child, so they need no hardware counters and are
// the same on every run. Threads are pinned in turn to the processors there are; `cores` says how
// many processors they really got, and the ratios compare processor time, which a busy machine
// spoils least.
#include <pthread.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <memory>
#include <thread>
#include <vector>

#include <recover/circuit_breaker.h>
#include <recover/pipeline.h>
#include <recover/rate_limiter.h>
#include <recover/retry.h>
#include <recover/time_limiter.h>

namespace recover {
namespace {

using namespace std::chrono_literals;

// ---- instructions

template <class F>
long steps_of(F& call, int calls) {
  const pid_t child = fork();
  if (child == 0) {
    for (int i = 0; i < 16; ++i) call();
    ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    std::raise(SIGSTOP);
    for (int i = 0; i < calls; ++i) call();
    _exit(0);
  }
  int status = 0;
  long steps = 0;
  waitpid(child, &status, 0);
  while (WIFSTOPPED(status)) {
    if (ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) != 0) return -1;
    waitpid(child, &status, 0);
    ++steps;
  }
  return steps;
}

// The difference of two runs leaves out everything but the calls.
template <class F>
void print_instructions(const char* subject, F call) {
  constexpr int kCalls = 64;
  const long few = steps_of(call, kCalls);
  const long many = steps_of(call, 2 * kCalls);
  std::printf("{\"figure\":\"instructions\",\"subject\":\"%s\",\"per_call\":%.1f}\n", subject,
              static_cast<double>(many - few) / kCalls);
}

// ---- threads

struct Load {
  double cpu_ns = 0;  // Processor time an operation.
  double cores = 0;   // Processors the threads got.
};

double thread_cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

void pin_to(unsigned thread) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(thread % std::thread::hardware_concurrency(), &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

template <class F>
Load measure(unsigned threads, F& call) {
  constexpr auto kTime = 300ms;
  constexpr long kBatch = 64;
  std::atomic<unsigned> ready{0};
  std::atomic<bool> stop{false};
  std::vector<long> calls(threads);
  std::vector<double> cpu(threads);
  std::vector<std::thread> running;
  running.reserve(threads);
  for (unsigned thread = 0; thread < threads; ++thread) {
    running.emplace_back([&, thread] {
      pin_to(thread);
      ++ready;
      while (ready.load() < threads) std::this_thread::yield();
      const double before = thread_cpu_ns();
      long done = 0;
      for (; !stop.load(std::memory_order_relaxed); done += kBatch) {
        for (long i = 0; i < kBatch; ++i) call();
      }
      cpu[thread] = thread_cpu_ns() - before;
      calls[thread] = done;
    });
  }
  while (ready.load() < threads) std::this_thread::yield();
  std::this_thread::sleep_for(kTime);
  stop = true;
  for (std::thread& thread : running) thread.join();
  double cpu_ns = 0;
  double count = 0;
  for (unsigned thread = 0; thread < threads; ++thread) {
    cpu_ns += cpu[thread];
    count += static_cast<double>(calls[thread]);
  }
  return {.cpu_ns = cpu_ns / count,
          .cores = cpu_ns / std::chrono::duration<double, std::nano>(kTime).count()};
}

constexpr std::array kThreads{1U, 2U, 4U, 8U};
using Loads = std::array<Load, kThreads.size()>;

// The quieter of the runs counts: interference only ever adds.
template <class F>
void keep_best(Loads& best, F call) {
  for (std::size_t i = 0; i < kThreads.size(); ++i) {
    const Load load = measure(kThreads[i], call);
    if (best[i].cpu_ns == 0 || load.cpu_ns < best[i].cpu_ns) best[i] = load;
  }
}

void print_threads(const char* subject, const Loads& loads, const Loads& counter) {
  for (std::size_t i = 0; i < kThreads.size(); ++i) {
    std::printf(
        "{\"figure\":\"threads\",\"subject\":\"%s\",\"threads\":%u,\"cpu_ns\":%.1f,\"cores\":%.2f,"
        "\"rise\":%.2f,\"rise_of_counter\":%.2f,\"added_ns\":%.1f,\"added_ns_of_counter\":%.1f}\n",
        subject, kThreads[i], loads[i].cpu_ns, loads[i].cores, loads[i].cpu_ns / loads[0].cpu_ns,
        counter[i].cpu_ns / counter[0].cpu_ns, loads[i].cpu_ns - loads[0].cpu_ns,
        counter[i].cpu_ns - counter[0].cpu_ns);
  }
}

void print_scaling() {
  static std::atomic<std::uint64_t> shared{0};
  static CircuitBreaker by_count;
  static CircuitBreaker by_time({.sliding_window = {.kind = circuitbreaker::WindowKind::Time}});
  Loads counter{};
  Loads count_window{};
  Loads time_window{};
  constexpr int kRuns = 5;
  for (int run = 0; run < kRuns; ++run) {
    keep_best(counter, [] { shared.fetch_add(1); });
    keep_best(count_window, [] { by_count.try_acquire()->success(); });
    keep_best(time_window, [] { by_time.try_acquire()->success(); });
  }
  print_threads("shared atomic counter", counter, counter);
  print_threads("closed breaker, count window", count_window, counter);
  print_threads("closed breaker, time window", time_window, counter);
}

void print_all_instructions() {
  static CircuitBreaker closed;
  static CircuitBreaker by_time({.sliding_window = {.kind = circuitbreaker::WindowKind::Time}});
  static CircuitBreaker open;
  open.transition_to(circuitbreaker::State::Open);
  static RateLimiter limiter({.limit_for_period = 1'000'000'000, .limit_refresh_period = 1s});
  static std::atomic<std::uint64_t> shared{0};
  print_instructions("shared atomic counter", [] { shared.fetch_add(1); });
  print_instructions("clock, steady", [] { return SteadyClock::instance().now(); });
  print_instructions("closed breaker, count window", [] { closed.try_acquire()->success(); });
  print_instructions("closed breaker, time window", [] { by_time.try_acquire()->success(); });
  print_instructions("open breaker, refusal", [] { return open.try_acquire().has_value(); });
  static TimeLimiter timeout;
  static Retry retry{RetryConfig{}};
  static const Pipeline pipeline({.total_timeout = &timeout,
                                  .retry = &retry,
                                  .circuit_breaker = &closed,
                                  .rate_limiter = &limiter});
  print_instructions("pipeline: timeout, retry, breaker, limiter",
                     [] { return pipeline.execute([] { return 42; }).has_value(); });
  print_instructions("rate limiter", [] { return limiter.try_acquire().has_value(); });
}

}  // namespace
}  // namespace recover

int main() {
  recover::print_all_instructions();
  recover::print_scaling();
}
