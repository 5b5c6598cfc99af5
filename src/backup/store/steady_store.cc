#include "backup/store/steady_store.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <recover/pipeline.h>

namespace recover::backup {
namespace {

RetryConfig retry_config(const SteadyOptions& options) {
  RetryConfig config;
  config.max_attempts = options.attempts;
  config.backoff = {.kind = retry::BackoffKind::Exponential,
                    .initial_interval = options.first_wait,
                    .multiplier = 2.0,
                    .max_interval = options.longest_wait,
                    .jitter = retry::Jitter::Equal};
  config.idempotent = true;  // Files are written once: the second time is found out.
  return config;
}

CircuitBreakerConfig breaker_config(const SteadyOptions& options) {
  CircuitBreakerConfig config;
  config.minimum_calls = options.failures_to_open;
  config.consecutive_failures_threshold = options.failures_to_open;
  config.slow_call_duration_threshold = Duration::zero();  // A pack over a slow line is slow.
  config.wait_in_open = {.initial = options.open_for};
  config.permitted_calls_in_half_open = 1;
  return config;
}

Error network_error(const std::string& message) {
  return Error(
      ErrorKind::OperationFailed,
      Classification{.error_class = ErrorClass::Connection, .persistence = Persistence::Transient},
      message);
}

}  // namespace

SteadyStore::SteadyStore(std::unique_ptr<Store> inner, const SteadyOptions& options)
    : inner_(std::move(inner)),
      retry_(retry_config(options), *options.clock),
      breaker_(breaker_config(options), *options.clock),
      clock_(options.clock) {}

// `call` is given the number of its attempt.
template <class Call>
auto SteadyStore::steadily(Call&& call) -> decltype(call(1U)) {
  std::optional<decltype(call(1U))> last;
  const Pipeline pipeline({.retry = &retry_, .circuit_breaker = &breaker_, .clock = clock_});
  const auto ended = pipeline.execute([&](const CallContext& context) -> Result<void> {
    last.emplace(call(context.attempt));
    if (*last || last->error().kind != FailureKind::Unreachable) return {};
    return Unexpected(network_error(last->error().message));
  });
  if (last) return std::move(*last);
  return fail(FailureKind::Unreachable,
              location() + ": not asked, because it has not answered for some time");
}

Outcome<void> SteadyStore::prepare() {
  return steadily([&](unsigned) { return inner_->prepare(); });
}

Outcome<Bytes> SteadyStore::read(const FileName& name) {
  const auto once = [&](unsigned) { return inner_->read(name); };
  auto bytes = steadily(once);
  if (!bytes || name.kind == FileKind::Config || sha256(*bytes) == name.id) return bytes;
  return steadily(once);
}

Outcome<Bytes> SteadyStore::read_part(const FileName& name, std::uint64_t offset,
                                      std::uint64_t length) {
  return steadily([&](unsigned) { return inner_->read_part(name, offset, length); });
}

Outcome<std::uint64_t> SteadyStore::size(const FileName& name) {
  return steadily([&](unsigned) { return inner_->size(name); });
}

Outcome<void> SteadyStore::write(const FileName& name, View bytes) {
  return steadily([&](unsigned attempt) {
    auto written = inner_->write(name, bytes);
    const bool there = !written && written.error().kind == FailureKind::Exists;
    if (there && attempt > 1 && holds(name, bytes)) return Outcome<void>();
    return written;
  });
}

bool SteadyStore::holds(const FileName& name, View bytes) {
  if (name.kind != FileKind::Config) {
    const auto size = inner_->size(name);
    return size && *size == bytes.size();
  }
  const auto there = inner_->read(name);
  return there && std::equal(there->begin(), there->end(), bytes.begin(), bytes.end());
}

Outcome<void> SteadyStore::remove(const FileName& name) {
  return steadily([&](unsigned attempt) {
    auto removed = inner_->remove(name);
    const bool gone = !removed && removed.error().kind == FailureKind::NotFound;
    return gone && attempt > 1 ? Outcome<void>() : std::move(removed);
  });
}

Outcome<void> SteadyStore::sweep() {
  return steadily([&](unsigned) { return inner_->sweep(); });
}

Outcome<std::vector<StoredFile>> SteadyStore::list(FileKind kind) {
  return steadily([&](unsigned) { return inner_->list(kind); });
}

}  // namespace recover::backup
