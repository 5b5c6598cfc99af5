// A store over a network made steady: calls that the network broke are made again after a wait, and
// a store that does not answer at all is left alone for a while instead of being asked in vain.
//
// Only Unreachable is tried again; what the store said no to stays a no. A call made twice is told
// from two calls: the file that a lost answer left behind is the one that was to be written.
#pragma once

#include <memory>

#include <recover/circuit_breaker.h>
#include <recover/retry.h>

#include "backup/store/store.h"

namespace recover::backup {

struct SteadyOptions {
  unsigned attempts = 6;  // About half a minute in all.
  Duration first_wait = std::chrono::milliseconds(500);
  Duration longest_wait = std::chrono::seconds(10);
  unsigned failures_to_open = 20;  // In a row, of all calls together.
  Duration open_for = std::chrono::seconds(30);
  Clock* clock = &SteadyClock::instance();
};

class SteadyStore final : public Store {
 public:
  explicit SteadyStore(std::unique_ptr<Store> inner, const SteadyOptions& options = {});

  std::string location() const override { return inner_->location(); }
  Outcome<void> prepare() override;
  // Bytes that are not those of the name are read once more: they may have been damaged on the
  // way. Then they are what the store has.
  Outcome<Bytes> read(const FileName& name) override;
  Outcome<Bytes> read_part(const FileName& name, std::uint64_t offset,
                           std::uint64_t length) override;
  Outcome<std::uint64_t> size(const FileName& name) override;
  Outcome<void> write(const FileName& name, View bytes) override;
  Outcome<void> remove(const FileName& name) override;
  Outcome<void> sweep() override;
  Outcome<std::vector<StoredFile>> list(FileKind kind) override;

 private:
  template <class Call>
  auto steadily(Call&& call) -> decltype(call(1U));
  // Whether the file that is there is the one that was to be written.
  bool holds(const FileName& name, View bytes);

  std::unique_ptr<Store> inner_;
  Retry retry_;
  circuitbreaker::CircuitBreaker breaker_;
  Clock* clock_;
};

}  // namespace recover::backup
