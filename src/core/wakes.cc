#include "core/wakes.h"

#include <algorithm>
#include <bit>

#include "core/timers.h"
#include "core/turn.h"

namespace recover::core {
namespace {

constexpr std::uint32_t kBits = 64;
// Answered commands that may wait in the heap for their turn on top, beside as many as in flight.
constexpr std::size_t kAnsweredMax = 1'024;

constexpr auto kLater = [](const auto& a, const auto& b) { return a.at > b.at; };

}  // namespace

std::uint32_t count_services(const Policy& policy) noexcept {
  return static_cast<std::uint32_t>(std::ranges::count_if(
      policy.services,
      [](const ServicePolicy& service) { return kind_of(service.spec) != ServiceKind::Backup; }));
}

void Wakes::touch(ServiceIndex service) noexcept {
  if (all_ || service.value >= is_touched_.size() || is_touched_[service.value] != 0) return;
  is_touched_[service.value] = 1;
  touched_.push_back(service.value);  // Within its capacity: each service is there once.
}

void Wakes::expect(CommandId command, Instant deadline) {
  if (all_) return;
  lost_.push_back({saturating_add(deadline, kLostAfter), command});
  std::ranges::push_heap(lost_, kLater);
}

void Wakes::catch_up(const Policy& policy, const State& state) {
  const bool global =
      kill_switch_ != state.kill_switch || journal_degraded_ != state.journal_degraded;
  if (all_ || global || is_touched_.size() != state.services.size()) rebuild(policy, state);
  for (const std::uint32_t service : touched_) {
    is_touched_[service] = 0;
    update(policy, state, service);
  }
  touched_.clear();
}

Instant Wakes::next_lost(const State& state) {
  forget_answered(state);
  return lost_.empty() ? kNever : lost_.front().at;
}

void Wakes::rebuild(const Policy& policy, const State& state) {
  all_ = false;
  kill_switch_ = state.kill_switch;
  journal_degraded_ = state.journal_degraded;
  const auto services = static_cast<std::uint32_t>(state.services.size());
  services_ = count_services(policy);
  touched_.clear();
  touched_.reserve(services);
  is_touched_.assign(services, 0);
  leaves_ = services == 0 ? 0 : std::bit_ceil(services);
  earliest_.assign(std::size_t{2} * leaves_, kNever);
  pending_.assign((services + kBits - 1) / kBits, 0);
  for (std::uint32_t service = 0; service < services; ++service) update(policy, state, service);
  rebuild_lost(state);
}

void Wakes::rebuild_lost(const State& state) {
  lost_.clear();
  for (const auto& [id, command] : state.in_flight) {
    lost_.push_back({saturating_add(command.deadline, kLostAfter), id});
  }
  std::ranges::make_heap(lost_, kLater);
}

void Wakes::update(const Policy& policy, const State& state, std::uint32_t service) noexcept {
  const std::uint64_t bit = std::uint64_t{1} << (service % kBits);
  std::uint64_t& word = pending_[service / kBits];
  word = state.services[service].start_pending ? word | bit : word & ~bit;
  std::uint32_t node = leaves_ + service;
  Instant earliest = service_deadline(policy, state, ServiceIndex{service});
  while (earliest_[node] != earliest) {
    earliest_[node] = earliest;
    if (node == 1) break;
    earliest = std::min(earliest, earliest_[node ^ 1U]);
    node /= 2;
  }
}

void Wakes::forget_answered(const State& state) {
  if (lost_.size() > 2 * state.in_flight.size() + kAnsweredMax) rebuild_lost(state);
  while (!lost_.empty()) {
    const auto found = state.in_flight.find(lost_.front().command);
    if (found != state.in_flight.end() &&
        saturating_add(found->second.deadline, kLostAfter) == lost_.front().at) {
      return;
    }
    std::ranges::pop_heap(lost_, kLater);
    lost_.pop_back();
  }
}

std::uint32_t Wakes::due(std::uint32_t from, Instant now) const noexcept {
  return std::min(due_deadline(from, now), pending(from));
}

// Up from the leaf until a subtree to the right holds one that is due, then down to its first.
std::uint32_t Wakes::due_deadline(std::uint32_t from, Instant now) const noexcept {
  if (from >= leaves_ || earliest_[1] > now) return kNone;
  std::uint32_t node = leaves_ + from;
  while (earliest_[node] > now) {
    while (node % 2 == 1) node /= 2;  // A right child; the root is 1.
    if (node == 0) return kNone;
    ++node;
  }
  while (node < leaves_) {
    node *= 2;
    if (earliest_[node] > now) ++node;
  }
  return node - leaves_;
}

std::uint32_t Wakes::pending(std::uint32_t from) const noexcept {
  for (std::uint32_t word = from / kBits; word < pending_.size(); ++word) {
    std::uint64_t bits = pending_[word];
    if (word == from / kBits) bits &= ~std::uint64_t{0} << (from % kBits);
    if (bits != 0) return word * kBits + static_cast<std::uint32_t>(std::countr_zero(bits));
  }
  return kNone;
}

}  // namespace recover::core
