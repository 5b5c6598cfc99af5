// Notices that what is below a service's `state:` paths has changed, whoever changed it.
//
// Looks at names, kinds, sizes, owners, modes and times, never into files; every few seconds, off
// the loop's thread. Gives a state with too many files up: then nothing is ever told of it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ports/event_source.h"

namespace boost::asio {
class io_context;
class thread_pool;
}  // namespace boost::asio

namespace recover::adapters::checkpoint {

inline constexpr std::size_t kWatchedFilesMax = 20'000;  // Of a service.

// Hexadecimal; empty: there is too much to look at. A path that is not there counts as such.
std::string fingerprint_of(const std::vector<std::string>& paths);

class StateWatch final : public ports::EventSource {
 public:
  // `loop` and `pool` outlive this.
  StateWatch(boost::asio::io_context& loop, boost::asio::thread_pool& pool, ports::Sink sink);
  ~StateWatch() override;

  // The pause between two looks follows from `checkpoint.after`: a fifth of it, from 200ms to 30s.
  void watch(const core::Policy& policy) override;
  void look(core::ServiceIndex service) override;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace recover::adapters::checkpoint
