#include "backup/retain/pack_removal.h"

#include <boost/unordered/unordered_flat_set.hpp>

#include <chrono>
#include <functional>
#include <utility>

namespace recover::backup {
namespace {

// Packs are removed for so long before others are let in.
constexpr std::chrono::seconds kSlice{5};
constexpr std::chrono::seconds kAskLockEvery{1};

Outcome<std::vector<Digest>> unnamed_packs(const Repository& repository) {
  const auto indexes = repository.store().list(FileKind::Index);
  if (!indexes) return Unexpected(indexes.error());
  boost::unordered_flat_set<Digest, std::hash<Digest>> named;
  for (const StoredFile& file : *indexes) {
    const auto packs = packs_of(repository, file.id);
    if (!packs) return Unexpected(packs.error());
    for (const IndexedPack& pack : *packs) named.insert(pack.id);
  }
  const auto files = repository.store().list(FileKind::Pack);
  if (!files) return Unexpected(files.error());
  std::vector<Digest> unnamed;
  for (const StoredFile& file : *files) {
    if (!named.contains(file.id)) unnamed.push_back(file.id);
  }
  return unnamed;
}

}  // namespace

Outcome<std::vector<IndexedPack>> packs_of(const Repository& repository, const Digest& index) {
  const FileName name{.kind = FileKind::Index, .id = index};
  const auto text = repository.load(name);
  if (!text) return Unexpected(text.error());
  std::vector<IndexedPack> packs;
  const auto read = read_index(*text, [&](IndexedPack&& pack) -> Outcome<void> {
    packs.push_back(std::move(pack));
    return {};
  });
  if (!read) return fail(read.error().kind, to_string(name) + ": " + read.error().message);
  return packs;
}

Outcome<void> remove_file(const Repository& repository, FileKind kind, const Digest& id) {
  auto gone = repository.store().remove({.kind = kind, .id = id});
  return !gone && gone.error().kind != FailureKind::NotFound ? gone : Outcome<void>();
}

Outcome<void> LockWatch::ask() {
  const auto now = std::chrono::steady_clock::now();
  if (!options_.still_locked || (asked_ && now - *asked_ < kAskLockEvery)) return {};
  asked_ = now;
  if (options_.still_locked()) return {};
  return fail(FailureKind::Locked, "the lock was lost while pruning: the rest is left to the next");
}

Outcome<void> remove_unnamed_packs(const Repository& repository, const PruneOptions& options,
                                   LockWatch& lock, const std::stop_token& stop) {
  if (auto swept = repository.store().sweep(); !swept) return swept;
  auto unnamed = unnamed_packs(repository);
  if (!unnamed) return Unexpected(std::move(unnamed.error()));
  auto slice_ends = std::chrono::steady_clock::now() + kSlice;
  while (!unnamed->empty() && !stop.stop_requested()) {
    if (auto held = lock.ask(); !held) return held;
    if (auto gone = remove_file(repository, FileKind::Pack, unnamed->back()); !gone) return gone;
    unnamed->pop_back();
    if (options.progress != nullptr) ++options.progress->packs_done;
    if (!options.let_others_in || std::chrono::steady_clock::now() < slice_ends) continue;
    if (auto alone = options.let_others_in(); !alone) return {};  // The next prune goes on.
    lock.renew();
    unnamed = unnamed_packs(repository);
    if (!unnamed) return Unexpected(std::move(unnamed.error()));
    slice_ends = std::chrono::steady_clock::now() + kSlice;
  }
  return {};
}

}  // namespace recover::backup
