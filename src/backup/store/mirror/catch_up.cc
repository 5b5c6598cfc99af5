// How a member of a mirror gets what it lacks.
#include <algorithm>
#include <array>
#include <ctime>
#include <optional>
#include <unordered_map>
#include <utility>

#include "backup/store/mirror/mirror_store.h"

namespace recover::backup {
namespace {

// In which files are written: what a file needs comes before it.
constexpr std::array kWritten = {FileKind::Key, FileKind::Pack, FileKind::Index,
                                 FileKind::Snapshot};

// Larger packs are copied piece by piece.
constexpr std::uint64_t kCopiedWholeMax = std::uint64_t{20} << 20U;
constexpr std::uint64_t kCopiedPieceBytes = std::uint64_t{1} << 20U;

Unexpected<Failure> at(const std::string& member, const Failure& failure) {
  return fail(failure.kind, member + ": " + failure.message);
}

std::int64_t unix_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec;
}

}  // namespace

CatchUpReport MirrorStore::catch_up(const CatchUpWish& wish) {
  examine_once();
  CatchUpRun run{.wish = wish, .report = {}};
  for (const auto& member : members_) {
    const bool is_later = member->is.writes == MirrorMember::Writes::Later;
    const bool wanted = is_later ? wish.later : member->behind.load();
    if (!wanted) continue;
    auto caught = catch_up_one(*member, run);
    if (!caught) run.report.problems.push_back(member->is.name + ": " + caught.error().message);
  }
  return std::move(run.report);
}

// What is there stays, and the member behind: the next one goes on.
Outcome<void> MirrorStore::CatchUpRun::goes_on() const {
  if (wish.stop.stop_requested()) return fail(FailureKind::Invalid, "it was stopped");
  if (std::chrono::steady_clock::now() < wish.until) return {};
  return fail(FailureKind::Locked,
              "it lacks more than can be copied now: the next catch-up goes on");
}

Outcome<void> MirrorStore::catch_up_one(Member& member, CatchUpRun& run) {
  Member* from = nullptr;
  for (const auto& other : members_) {
    if (from == nullptr && !other->behind && other.get() != &member) from = other.get();
  }
  if (from == nullptr) return fail(FailureKind::NotFound, "no other member is known to be whole");
  const std::int64_t begun_at = unix_seconds();
  if (auto begun = begin_writing(); !begun) return begun;
  if (auto same = check_same(*from, member, run.wish.refill); !same) return same;
  // Most of it while others write; what they wrote meanwhile with them waiting.
  if (auto copied = copy_missing(*from, member, run); !copied) return copied;
  const std::unique_lock alone(writing_);
  if (auto copied = copy_missing(*from, member, run); !copied) return copied;
  if (auto removed = remove_missed(*from, member, run); !removed) return removed;
  const bool together = member.is.writes == MirrorMember::Writes::Together;
  const bool has_config = member.is.store->size(FileName()).has_value();
  bool others = false;
  auto noted = state_.change([&](MirrorRecord& record) {
    MemberRecord& entry = record.members[member.is.name];
    entry.held = entry.held || has_config;
    others = record.writers.size() > 1;  // They may pass it by, and may have added removals.
    if (!others) entry.missed_removals.clear();
    if (!together) {
      // It has everything as of then, whoever writes meanwhile.
      entry.behind = true;
      entry.why = "copied later";
      entry.since = begun_at;
    } else if (!others) {
      entry.behind = false;
      entry.since = 0;
    }
  });
  if (noted && others && together) {
    return fail(FailureKind::Locked, "others write just now: the next catch-up ends it");
  }
  if (noted && together) member.behind = false;
  if (has_config) member.empty = false;
  return noted;
}

// Two repositories are never mixed, whatever a configuration says.
Outcome<void> MirrorStore::check_same(Member& from, Member& to, bool refill) {
  // One whose config does not open was distrusted: another has it whole.
  const auto wanted =
      is_distrusted(from, FileName()) ? read(FileName()) : from.is.store->read(FileName());
  if (!wanted && wanted.error().kind != FailureKind::NotFound) {
    return at(from.is.name, wanted.error());
  }
  const auto there = to.is.store->read(FileName());
  if (!there && there.error().kind != FailureKind::NotFound) return at(to.is.name, there.error());
  if (!there && state_.load().members[to.is.name].held && !refill) {
    return fail(FailureKind::NotFound,
                to.is.store->location() +
                    " held a repository and holds none now: is it mounted? If it was emptied on "
                    "purpose, --refill fills it again");
  }
  if (!there) return to.is.store->prepare();
  if (wanted && *wanted == *there) return {};
  return fail(FailureKind::Invalid, to.is.store->location() + " holds another repository than " +
                                        from.is.store->location() + ": nothing is copied");
}

Outcome<void> MirrorStore::copy_missing(Member& from, Member& to, CatchUpRun& run) {
  // Listed in the reverse order: what a listed file needs is in a list made later.
  std::array<std::vector<StoredFile>, kWritten.size()> wanted;
  for (std::size_t i = kWritten.size(); i > 0; --i) {
    auto files = from.is.store->list(kWritten[i - 1]);
    if (!files) return at(from.is.name, files.error());
    wanted[i - 1] = std::move(*files);
  }
  for (std::size_t i = 0; i < kWritten.size(); ++i) {
    auto copied = copy_kind(to, kWritten[i], wanted[i], run);
    if (!copied) return copied;
  }
  // Last: a repository exists once its config does.
  const bool has_config = from.is.store->size(FileName()).has_value();
  if (!has_config || to.is.store->size(FileName())) return {};
  return copy_file(to, FileName(), run);
}

Outcome<void> MirrorStore::copy_kind(Member& to, FileKind kind,
                                     const std::vector<StoredFile>& wanted, CatchUpRun& run) {
  const auto there = to.is.store->list(kind);
  if (!there) return at(to.is.name, there.error());
  std::unordered_map<Digest, std::uint64_t> sizes;
  for (const StoredFile& file : *there) sizes.emplace(file.id, file.bytes);
  for (const StoredFile& file : wanted) {
    if (auto goes = run.goes_on(); !goes) return goes;
    const FileName name{.kind = kind, .id = file.id};
    const auto found = sizes.find(file.id);
    if (found != sizes.end() && found->second == file.bytes) continue;
    if (found != sizes.end()) {
      // One of the two is not what its name says. The bytes tell which.
      const auto own = to.is.store->read(name);
      if (own && sha256(*own) == name.id) continue;
      const auto whole = read(name);
      if (!whole || sha256(*whole) != name.id) {
        return fail(FailureKind::Damaged, to_string(name) + ": damaged in every member");
      }
      if (auto removed = to.is.store->remove(name); !removed) return removed;
    }
    auto copied = copy_file(to, name, run);
    const bool vanished = !copied && copied.error().kind == FailureKind::NotFound;
    if (!copied && !vanished) return copied;
  }
  return {};
}

// A pack that is not held at once: the tree of a giant folder.
Outcome<void> MirrorStore::copy_long(Member& to, const FileName& name, std::uint64_t size,
                                     CatchUpRun& run) {
  std::optional<Failure> failure;
  // What is not its name's bytes is not whole, and gets no name.
  const auto each = [&](const std::function<bool(View)>& use) {
    Sha256 hash;
    for (std::uint64_t at = 0; at < size;) {
      if (auto goes = run.goes_on(); !goes) {
        failure = goes.error();
        return false;
      }
      const auto piece = read_part(name, at, std::min(kCopiedPieceBytes, size - at));
      if (!piece) failure = piece.error();
      if (!piece || piece->empty() || !use(*piece)) return false;
      hash.add(*piece);
      at += piece->size();
    }
    if (hash.finish() == name.id) return true;
    failure = {.kind = FailureKind::Damaged, .message = to_string(name) + ": damaged"};
    return false;
  };
  const auto written = to.is.store->write_long(name, {.size = size, .each = each});
  if (failure) return Unexpected(std::move(*failure));
  if (!written && written.error().kind != FailureKind::Exists) {
    return at(to.is.name, written.error());
  }
  ++run.report.files;
  run.report.bytes += size;
  return {};
}

Outcome<void> MirrorStore::copy_file(Member& to, const FileName& name, CatchUpRun& run) {
  const auto bytes_there =
      name.kind == FileKind::Pack ? size(name) : Outcome<std::uint64_t>(std::uint64_t{0});
  if (bytes_there && *bytes_there > kCopiedWholeMax) {
    auto copied = copy_long(to, name, *bytes_there, run);
    // Another member may have it whole.
    if (copied || copied.error().kind != FailureKind::Damaged) return copied;
  }
  // Of whichever member has it whole.
  const auto bytes = read(name);
  if (!bytes) return Unexpected(bytes.error());
  if (name.kind != FileKind::Config && sha256(*bytes) != name.id) {
    return fail(FailureKind::Damaged, to_string(name) + ": damaged in every member");
  }
  auto written = to.is.store->write(name, *bytes);
  if (!written && written.error().kind != FailureKind::Exists) {
    return at(to.is.name, written.error());
  }
  ++run.report.files;
  run.report.bytes += bytes->size();
  return {};
}

Outcome<void> MirrorStore::remove_missed(Member& from, Member& to, CatchUpRun& run) {
  if (to.is.append_only) return {};
  std::vector<FileName> missed = state_.load().members[to.is.name].missed_removals;
  // Snapshots before indexes before packs: what needs before what is needed.
  std::stable_sort(missed.begin(), missed.end(), [](const FileName& a, const FileName& b) {
    return static_cast<int>(a.kind == FileKind::Snapshot) * 2 +
               static_cast<int>(a.kind == FileKind::Index) >
           static_cast<int>(b.kind == FileKind::Snapshot) * 2 +
               static_cast<int>(b.kind == FileKind::Index);
  });
  for (const FileName& name : missed) {
    // Written anew since.
    if (from.is.store->size(name)) continue;
    auto removed = to.is.store->remove(name);
    const bool gone = removed || removed.error().kind == FailureKind::NotFound;
    if (!gone) return at(to.is.name, removed.error());
    if (removed) ++run.report.removed;
  }
  return {};
}

}  // namespace recover::backup
