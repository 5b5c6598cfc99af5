// Every member of a mirror read for itself: damage in one is nobody's business while another is
// asked first, until that one is lost.
#include <algorithm>
#include <array>
#include <cmath>
#include <thread>
#include <unordered_set>
#include <utility>

#include "backup/check/ledger.h"
#include "backup/store/mirror/mirror_store.h"

namespace recover::backup {
namespace {

bool is_whole(const FileName& name, const Bytes& bytes, const ScrubWish& wish) {
  return name.kind == FileKind::Config ? wish.is_config(bytes) : sha256(bytes) == name.id;
}

constexpr std::array kScrubbed = {FileKind::Key, FileKind::Index, FileKind::Snapshot,
                                  FileKind::Pack};

void tell(std::vector<std::string>& texts, std::string text) {
  if (texts.size() < MemberScrub::kToldMax) texts.push_back(std::move(text));
}

// Those longest unread, at least one.
void keep_share(std::vector<StoredFile>& packs, const ReadLedger& ledger, double share) {
  if (share >= 1 || packs.empty()) return;
  std::ranges::sort(packs, {}, [&](const StoredFile& pack) { return ledger.last_read(pack.id); });
  const auto wanted =
      static_cast<std::size_t>(std::ceil(share * static_cast<double>(packs.size())));
  packs.resize(std::clamp<std::size_t>(wanted, 1, packs.size()));
}

}  // namespace

std::string_view MirrorStore::text_of_fault(Fault fault) {
  switch (fault) {
    case Fault::Damaged: return " is damaged";
    case Fault::Missing: return " is missing";
    case Fault::Unreadable: return " cannot be read";
  }
  return {};
}

std::vector<MemberScrub> MirrorStore::scrub(const ScrubWish& wish, ScrubProgress& progress) {
  examine_once();
  std::vector<MemberScrub> found(members_.size());
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    found[i].name = members_[i]->is.name;
    threads.emplace_back([&, i] { scrub_one(*members_[i], wish, progress, found[i]); });
  }
  threads.clear();
  return found;
}

void MirrorStore::scrub_one(Member& member, const ScrubWish& wish, ScrubProgress& progress,
                            MemberScrub& found) {
  if (member.empty) return;  // It is behind, and told as such.
  ReadLedger* const ledger = wish.ledger ? wish.ledger(member.is.name) : nullptr;
  if (wish.is_config && !scrub_file(member, FileName(), wish, found)) return;
  for (const FileKind kind : kScrubbed) {
    auto there = member.is.store->list(kind);
    if (!there) return tell(found.problems, there.error().message);
    for (const FileName& name : missing_in(member, kind, *there)) {
      mend(member, name, Fault::Missing, wish, found);
    }
    if (kind == FileKind::Pack && ledger != nullptr) keep_share(*there, *ledger, wish.share);
    for (const StoredFile& file : *there) {
      if (wish.stop.stop_requested()) return;
      const std::uint64_t before = found.mended + found.problems.size();
      if (!scrub_file(member, {.kind = kind, .id = file.id}, wish, found)) return;
      progress.files.fetch_add(1, std::memory_order_relaxed);
      progress.bytes.fetch_add(file.bytes, std::memory_order_relaxed);
      found.bytes += file.bytes;
      const bool good = found.mended + found.problems.size() == before;
      if (kind == FileKind::Pack && ledger != nullptr && good) ledger->note(file.id, wish.now);
    }
  }
  if (ledger != nullptr) static_cast<void>(ledger->save());
}

// Whether it is of use to go on: one that does not answer would be waited for at every file.
bool MirrorStore::scrub_file(Member& member, const FileName& name, const ScrubWish& wish,
                             MemberScrub& found) {
  ++found.files;
  const auto bytes = member.is.store->read(name);
  if (bytes && is_whole(name, *bytes, wish)) return true;
  const FailureKind kind = bytes ? FailureKind::Damaged : bytes.error().kind;
  if (kind == FailureKind::NotFound) return true;  // Since the list was made.
  if (kind == FailureKind::Damaged) mend(member, name, Fault::Damaged, wish, found);
  // A disk that gives no bytes any more: it may take new ones.
  if (kind == FailureKind::Io) mend(member, name, Fault::Unreadable, wish, found);
  if (kind == FailureKind::Damaged || kind == FailureKind::Io) return true;
  tell(found.problems, bytes.error().message);
  return kind != FailureKind::Unreachable;
}

// What another member has that is written with this one. One that removes nothing has more.
std::vector<FileName> MirrorStore::missing_in(Member& member, FileKind kind,
                                              const std::vector<StoredFile>& there) {
  const auto is_whole = [](const Member& one) {
    return !one.behind && !one.empty && one.is.writes == MirrorMember::Writes::Together &&
           !one.is.append_only;
  };
  std::vector<FileName> missing;
  if (member.behind || member.is.writes == MirrorMember::Writes::Later) return missing;
  std::unordered_set<Digest> known;
  for (const StoredFile& file : there) known.insert(file.id);
  for (const auto& other : members_) {
    if (other.get() == &member || !is_whole(*other)) continue;
    const auto files = other->is.store->list(kind);
    if (!files) continue;
    for (const StoredFile& file : *files) {
      if (known.insert(file.id).second) missing.push_back({.kind = kind, .id = file.id});
    }
  }
  return missing;
}

std::optional<Bytes> MirrorStore::whole_elsewhere(const Member& member, const FileName& name,
                                                  const ScrubWish& wish) {
  for (const auto& other : members_) {
    if (other.get() == &member || other->empty) continue;
    auto bytes = other->is.store->read(name);
    if (bytes && is_whole(name, *bytes, wish)) return std::move(*bytes);
  }
  return std::nullopt;
}

void MirrorStore::mend(Member& member, const FileName& name, Fault fault, const ScrubWish& wish,
                       MemberScrub& found) {
  const bool is_there = fault != Fault::Missing;
  const std::string what = to_string(name) + std::string(text_of_fault(fault));
  const auto stays = [&](const std::string& why) {
    if (fault == Fault::Unreadable) return tell(found.problems, what + why);
    ++found.wrong;  // Told before what only did not answer.
    found.problems.insert(found.problems.begin(), what + why);
    if (found.problems.size() > MemberScrub::kToldMax) found.problems.pop_back();
  };
  if (!is_there && member.is.store->size(name)) return;  // Written since the list was made.
  const auto whole = whole_elsewhere(member, name, wish);
  if (!whole) return stays(", and no other member has it whole");
  if (is_there) {
    const auto removed = member.is.store->remove(name);
    if (!removed && removed.error().kind != FailureKind::NotFound) {
      return stays(" and cannot be replaced: " + removed.error().message);
    }
  }
  const auto written = member.is.store->write(name, *whole);
  // Somebody who writes brought it meanwhile.
  if (!written && written.error().kind != FailureKind::Exists) {
    return stays(" and cannot be written: " + written.error().message);
  }
  ++found.mended;
  tell(found.mended_files, what);
}

}  // namespace recover::backup
