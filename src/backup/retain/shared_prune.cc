#include "backup/retain/shared_prune.h"

#include <utility>

namespace recover::backup {
namespace {

constexpr unsigned kTriesMax = 3;

Outcome<PruneReport> prune_once(const Repository& repository, const SharedPrune& wish,
                                bool may_rewrite, const std::stop_token& stop) {
  auto lock = TwoPhaseLock::begin(repository, wish.patience, stop);
  if (!lock) return Unexpected(std::move(lock.error()));
  PruneOptions options = wish.prune;
  options.still_locked = [&] { return (*lock)->is_held(); };
  options.exclude = [&] { return (*lock)->exclude(); };
  options.let_others_in = [&] { return (*lock)->let_others_in(); };
  options.rewrite = options.rewrite && may_rewrite;
  return prune(repository, options, stop);
}

bool is(const Outcome<PruneReport>& report, FailureKind kind) {
  return !report && report.error().kind == kind;
}

// What was freed first is told with what the second go freed.
PruneReport sum(const PruneReport& first, PruneReport second) {
  second.packs_removed += first.packs_removed;
  second.bytes_freed += first.bytes_freed;
  return second;
}

}  // namespace

Outcome<PruneReport> prune_beside_others(const Repository& repository, const SharedPrune& wish,
                                         const std::stop_token& stop) {
  Store& store = repository.store();
  const auto until = std::chrono::steady_clock::now() + wish.patience;
  bool is_tight = false;
  Outcome<PruneReport> report = fail(FailureKind::Locked, "not begun");
  for (unsigned tries = 0; tries < kTriesMax; ++tries) {
    report = prune_once(repository, wish, !is_tight, stop);
    if (is(report, FailureKind::Full) && !is_tight) {
      // Without a reserve whole packs may still go, if a lock and an index file find room.
      store.free_reserve();
      is_tight = true;
    } else if (!is(report, FailureKind::Locked) || stop.stop_requested() ||
               std::chrono::steady_clock::now() >= until) {
      break;
    }
  }
  if (wish.prune.dry_run || !report) return report;
  if (is_tight) {
    // There is room again, perhaps enough for what was put off; if not, the next prune tries.
    auto rest = prune_once(repository, wish, true, stop);
    if (rest) report = sum(*report, *rest);
  }
  store.keep_reserve();
  return report;
}

}  // namespace recover::backup
