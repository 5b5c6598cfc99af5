// Runs the same body on several threads that start together.
#pragma once

#include <atomic>
#include <thread>
#include <vector>

namespace recover::test {

// body(index) on each of `threads` threads; returns when all have finished.
template <class Body>
void on_threads(unsigned threads, Body body) {
  std::atomic<unsigned> waiting{threads};
  std::vector<std::jthread> running;
  running.reserve(threads);
  for (unsigned index = 0; index < threads; ++index) {
    running.emplace_back([&, index] {
      waiting.fetch_sub(1);
      while (waiting.load() > 0) std::this_thread::yield();
      body(index);
    });
  }
}

}  // namespace recover::test
