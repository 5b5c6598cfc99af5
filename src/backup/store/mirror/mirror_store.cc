#include "backup/store/mirror/mirror_store.h"

#include <algorithm>
#include <ctime>
#include <map>
#include <thread>
#include <utility>

#include <recover/check.h>

namespace recover::backup {
namespace {

// Who gave this thread its last answer: that is whom distrust() means.
thread_local const void* last_answered = nullptr;

constexpr std::int64_t kSilence = 60;  // Seconds.
constexpr std::size_t kDistrustedMax = 10'000;

std::int64_t unix_now() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec;
}

bool says_nothing(const Failure& failure) {
  return failure.kind == FailureKind::Unreachable || failure.kind == FailureKind::Io;
}

bool is_what_it_should_be(const FileName& name, const Bytes& bytes) {
  return name.kind == FileKind::Config || sha256(bytes) == name.id;
}

}  // namespace

MirrorStore::MirrorStore(std::vector<MirrorMember> members, const MirrorOptions& options)
    : options_(options), state_(options.state_path) {
  RECOVER_CHECK(!members.empty());
  for (MirrorMember& member : members) {
    members_.push_back(std::make_unique<Member>());
    members_.back()->is = std::move(member);
  }
  const auto noted = state_.change([&](MirrorRecord& record) { begin(record); });
  if (noted) return;
  // Good enough to read.
  MirrorRecord known = state_.load();
  begin(known);
}

// From what is known to who may be read and written.
void MirrorStore::begin(MirrorRecord& record) {
  const bool nothing_known = record.members.empty();
  const bool in_doubt = MirrorState::has_dead_writer(record);
  for (const auto& member : members_) {
    const auto known = record.members.find(member->is.name);
    member->behind = known == record.members.end() || known->second.behind;
  }
  // The first that lacks nothing leads. When nothing is known, the first of all; examine() may know
  // better.
  Member* const first = nothing_known ? members_.front().get() : leader();
  for (const auto& member : members_) {
    if (member.get() == first) member->behind = false;
    if (member.get() != first && in_doubt) member->behind = true;
    MemberRecord& entry = record.members[member->is.name];
    if (member->behind && !entry.behind) entry.why = "a writer ended without saying so";
    if (member->behind && entry.since == 0) entry.since = unix_now();
    entry.behind = member->behind;
  }
  MirrorState::forget_dead_writers(record);
}

MirrorStore::~MirrorStore() {
  if (has_begun_) state_.end_writing();
}

MirrorStore::Member* MirrorStore::leader() {
  for (const auto& member : members_) {
    if (!member->behind) return member.get();
  }
  return nullptr;
}

void MirrorStore::examine() {
  std::vector<Member*> with;
  std::vector<Member*> without;
  for (const auto& member : members_) {
    const auto config = member->is.store->read(FileName());
    if (config) with.push_back(member.get());
    if (!config && config.error().kind == FailureKind::NotFound) without.push_back(member.get());
  }
  if (with.empty()) return;  // It is made only now.
  const MirrorRecord before = state_.load();
  for (const Member* const member : with) {
    const auto record = before.members.find(member->is.name);
    if (member->behind || (record != before.members.end() && record->second.held)) continue;
    (void)state_.change([&](MirrorRecord& all) { all.members[member->is.name].held = true; });
  }
  for (Member* const member : without) {
    member->empty = true;
    if (!member->behind) (void)set_behind(*member, "it holds no repository", {});
  }
  if (leader() != nullptr) return;
  // The only one that lacked nothing is empty: the first that was never found to lack anything.
  const MirrorRecord known = state_.load();
  for (Member* const member : with) {
    const auto record = known.members.find(member->is.name);
    const bool new_here = record == known.members.end() || record->second.why == kNotCompared;
    if (!new_here || leader() != nullptr) continue;
    member->behind = false;
    (void)state_.change(
        [&](MirrorRecord& all) { all.members[member->is.name] = {.behind = false, .held = true}; });
  }
}

// Those that lack nothing, in their order; then those that did not answer; then those behind; last
// whose bytes were not right, and those without a repository.
std::vector<MirrorStore::Member*> MirrorStore::readers(const std::optional<FileName>& name) {
  const std::int64_t now = unix_now();
  std::set<const Member*> wrong;
  if (name) {
    const std::lock_guard lock(distrust_mutex_);
    const auto found = distrusted_.find(*name);
    if (found != distrusted_.end()) wrong = found->second;
  }
  std::vector<std::pair<int, Member*>> ranked;
  for (const auto& member : members_) {
    const int rank = (member->empty ? 8 : 0) + (wrong.contains(member.get()) ? 4 : 0) +
                     (member->behind ? 2 : 0) + (member->silent_until > now ? 1 : 0);
    ranked.emplace_back(rank, member.get());
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Member*> order;
  for (const auto& [rank, member] : ranked) order.push_back(member);
  return order;
}

bool MirrorStore::distrust(const FileName& name) {
  const auto* const read = static_cast<const Member*>(last_answered);
  const std::lock_guard lock(distrust_mutex_);
  if (distrusted_.size() >= kDistrustedMax && !distrusted_.contains(name)) return false;
  std::set<const Member*>& wrong = distrusted_[name];
  wrong.insert(read);
  return wrong.size() < members_.size();
}

bool MirrorStore::is_distrusted(const Member& member, const FileName& name) {
  const std::lock_guard lock(distrust_mutex_);
  const auto found = distrusted_.find(name);
  return found != distrusted_.end() && found->second.contains(&member);
}

std::vector<MirrorStore::Member*> MirrorStore::writers() {
  std::vector<Member*> found;
  for (const auto& member : members_) {
    const bool together = member->is.writes == MirrorMember::Writes::Together;
    if (together && !member->behind) found.push_back(member.get());
  }
  return found;
}

// The first answer that is one. A member's "there is none" is not the mirror's while others may
// have it.
template <class Call>
auto MirrorStore::read_first(const std::optional<FileName>& name, Call&& call)
    -> decltype(call(std::declval<Store&>())) {
  examine_once();
  std::optional<Failure> first;
  for (Member* const member : readers(name)) {
    auto result = call(*member->is.store);
    if (result) {
      last_answered = member;
      return result;
    }
    if (says_nothing(result.error())) member->silent_until = unix_now() + kSilence;
    const bool says_more = first && first->kind == FailureKind::NotFound;
    if (!first || says_more) first = std::move(result.error());
  }
  return Unexpected(std::move(*first));
}

Outcome<Bytes> MirrorStore::read(const FileName& name) {
  std::optional<Bytes> damaged;
  auto found = read_first(name, [&](Store& store) -> Outcome<Bytes> {
    auto bytes = store.read(name);
    if (!bytes || is_what_it_should_be(name, *bytes)) return bytes;
    if (!damaged) damaged = std::move(*bytes);
    return fail(FailureKind::Damaged, to_string(name) + ": its bytes are not those of its name");
  });
  // As every store gives what it has: whoever reads judges it.
  if (!found && damaged) return std::move(*damaged);
  return found;
}

Outcome<Bytes> MirrorStore::read_part(const FileName& name, std::uint64_t offset,
                                      std::uint64_t length) {
  return read_first(name, [&](Store& store) { return store.read_part(name, offset, length); });
}

Outcome<std::uint64_t> MirrorStore::size(const FileName& name) {
  return read_first(name, [&](Store& store) { return store.size(name); });
}

template <class Call>
std::vector<Outcome<void>> MirrorStore::at_once(const std::vector<Member*>& members, Call&& call) {
  std::vector<Outcome<void>> results(members.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < members.size(); ++i) {
    threads.emplace_back([&, i] { results[i] = call(*members[i]); });
  }
  if (!members.empty()) results[0] = call(*members[0]);
  for (std::thread& thread : threads) thread.join();
  return results;
}

// Said before the first change, so that a crash between two members is known of.
Outcome<void> MirrorStore::begin_writing() {
  const std::lock_guard lock(begin_mutex_);
  if (has_begun_) return {};
  auto begun = state_.begin_writing();
  if (begun) {
    // What is written from here on passes them by, whatever another program brought them since.
    begun = state_.change([&](MirrorRecord& record) {
      for (const auto& member : members_) {
        if (member->behind) record.members[member->is.name].behind = true;
      }
    });
  }
  has_begun_ = begun.has_value();
  return begun;
}

Outcome<void> MirrorStore::set_behind(Member& member, const std::string& why,
                                      const std::vector<FileName>& removals) {
  member.behind = true;
  return state_.change([&](MirrorRecord& record) {
    MemberRecord& entry = record.members[member.is.name];
    if (!entry.behind) {
      entry.why = why;
      entry.since = unix_now();
    }
    entry.behind = true;
    for (const FileName& name : removals) {
      if (entry.missed_removals.size() >= MemberRecord::kMissedRemovalsMax) break;
      entry.missed_removals.push_back(name);
    }
  });
}

// Enough members took it, and that the others did not is known for good: then it is done.
Outcome<void> MirrorStore::judge_writes(const std::vector<Member*>& members,
                                        const std::vector<Outcome<void>>& results) {
  const auto failed = std::find_if(results.begin(), results.end(),
                                   [](const Outcome<void>& result) { return !result; });
  const auto took = static_cast<unsigned>(std::count_if(
      results.begin(), results.end(), [](const Outcome<void>& result) { return bool(result); }));
  if (failed == results.end() && took >= options_.copies_min) return {};
  if (took == 0 && failed != results.end()) return Unexpected(failed->error());
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (results[i]) continue;
    auto noted = set_behind(*members[i], results[i].error().message, {});
    if (!noted) return noted;
  }
  if (took >= options_.copies_min) return {};
  return fail(FailureKind::Unreachable, location() + ": " + std::to_string(took) + " of " +
                                            std::to_string(options_.copies_min) +
                                            " members took it");
}

bool MirrorStore::holds_already(Member& member, const FileName& name, View bytes) {
  if (name.kind != FileKind::Config) {
    const auto there = member.is.store->size(name);
    return there && *there == bytes.size();
  }
  const auto there = member.is.store->read(name);
  return there && std::equal(there->begin(), there->end(), bytes.begin(), bytes.end());
}

Outcome<void> MirrorStore::write(const FileName& name, View bytes) {
  examine_once();
  if (auto begun = begin_writing(); !begun) return begun;
  const std::shared_lock lock(writing_);
  const std::vector<Member*> members = writers();
  if (members.empty()) {
    return fail(FailureKind::Unreachable, location() + ": no member is there to write to");
  }
  std::vector<Outcome<void>> results =
      at_once(members, [&](Member& member) { return member.is.store->write(name, bytes); });
  const auto exists = [](const Outcome<void>& result) {
    return !result && result.error().kind == FailureKind::Exists;
  };
  // There in all: it was before. There in some: a writer that died brought it that far.
  if (std::all_of(results.begin(), results.end(), exists)) return std::move(results.front());
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (exists(results[i]) && holds_already(*members[i], name, bytes)) results[i] = {};
  }
  auto done = judge_writes(members, results);
  if (done) has_written_ = true;
  if (!done || name.kind != FileKind::Config) return done;
  return state_.change([&](MirrorRecord& record) {
    for (const Member* const member : members) {
      if (!member->behind) record.members[member->is.name].held = true;
    }
  });
}

Outcome<void> MirrorStore::remove(const FileName& name) {
  examine_once();
  if (auto begun = begin_writing(); !begun) return begun;
  const std::shared_lock lock(writing_);
  const bool is_lock = name.kind == FileKind::Lock;
  std::vector<Member*> told;
  std::vector<Member*> later;
  for (const auto& member : members_) {
    const bool together = member->is.writes == MirrorMember::Writes::Together;
    if (member->is.append_only && !is_lock) continue;
    (together && !member->behind ? told : later).push_back(member.get());
  }
  std::vector<Outcome<void>> results =
      at_once(told, [&](Member& member) { return member.is.store->remove(name); });
  bool gone = false;
  std::optional<Failure> failure;
  for (std::size_t i = 0; i < told.size(); ++i) {
    gone = gone || results[i];
    if (results[i]) continue;
    const bool missing = results[i].error().kind == FailureKind::NotFound;
    if (!failure || failure->kind == FailureKind::NotFound) failure = results[i].error();
    if (!missing) later.push_back(told[i]);
  }
  if (!gone && failure) return Unexpected(std::move(*failure));
  if (told.empty()) return fail(FailureKind::NotPermitted, location() + ": no member may remove");
  for (Member* const member : later) {
    // Locks end by themselves.
    const std::vector<FileName> missed =
        is_lock ? std::vector<FileName>() : std::vector<FileName>{name};
    if (is_lock && member->behind) continue;
    if (auto noted = set_behind(*member, "it did not remove " + to_string(name), missed); !noted) {
      return noted;
    }
  }
  return {};
}

Outcome<void> MirrorStore::prepare() {
  std::vector<Member*> members;
  for (const auto& member : members_) members.push_back(member.get());
  const auto results = at_once(members, [](Member& member) { return member.is.store->prepare(); });
  return judge_writes(members, results);
}

Outcome<void> MirrorStore::sweep() {
  Outcome<void> done;
  for (const auto& member : members_) {
    if (member->is.append_only) continue;
    auto swept = member->is.store->sweep();
    if (done && !swept) done = std::move(swept);
  }
  return done;
}

// Who works under a lock never goes by the list of a member that lacks something.
Outcome<std::vector<StoredFile>> MirrorStore::list_of_sound(FileKind kind) {
  std::optional<Failure> failure;
  for (Member* const member : readers(std::nullopt)) {
    if (member->behind) continue;
    auto files = member->is.store->list(kind);
    if (files) return files;
    if (!failure) failure = std::move(files.error());
  }
  if (failure) return Unexpected(std::move(*failure));
  return fail(FailureKind::Unreachable, location() + ": no member is sound");
}

Outcome<std::vector<StoredFile>> MirrorStore::list(FileKind kind) {
  if (kind != FileKind::Lock) {
    examine_once();
    if (has_written_) return list_of_sound(kind);
    return read_first(std::nullopt, [&](Store& store) { return store.list(kind); });
  }
  examine_once();
  std::map<Digest, std::uint64_t> all;
  std::optional<Failure> failure;
  bool answered = false;
  for (Member* const member : readers(std::nullopt)) {
    if (member->behind && answered) continue;
    const auto files = member->is.store->list(kind);
    if (!files && !failure) failure = files.error();
    if (!files) continue;
    answered = true;
    for (const StoredFile& file : *files) all[file.id] = file.bytes;
  }
  if (!answered && failure) return Unexpected(std::move(*failure));
  std::vector<StoredFile> files;
  for (const auto& [id, bytes] : all) files.push_back({.id = id, .bytes = bytes});
  return files;
}

std::vector<MemberStatus> MirrorStore::status() const {
  const MirrorRecord known = const_cast<MirrorState&>(state_).load();
  std::vector<MemberStatus> all;
  for (const auto& member : members_) {
    const auto found = known.members.find(member->is.name);
    const bool is_known = found != known.members.end();
    const MemberRecord record = is_known ? found->second : MemberRecord();
    // Another process may have found out.
    const bool behind = member->behind || (is_known && record.behind);
    all.push_back({.name = member->is.name,
                   .location = member->is.store->location(),
                   .behind = behind,
                   .later = member->is.writes == MirrorMember::Writes::Later,
                   .why = behind ? record.why : std::string(),
                   .since = behind ? record.since : 0});
  }
  return all;
}

}  // namespace recover::backup
