// Several stores that hold the same repository: a primary, and others for when it is lost.
//
// Each member is a sound repository of its own at any time, which restic opens alone: one that
// missed a file gets no later one either, until catch_up() has brought what it lacks in the order
// in which a repository is written. Reads come from the first that is healthy. Nothing is ever
// removed from a member but what was removed from the mirror by name: an empty primary does not
// empty the others.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <shared_mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "backup/store/mirror/mirror_state.h"
#include "backup/store/store.h"

namespace recover::backup {

struct MirrorMember {
  enum class Writes {
    Together,  // With the others, at once.
    Later,     // By catch_up() alone.
  };
  std::string name;  // "primary", "secondary", "tertiary", "emergency"; distinct.
  std::unique_ptr<Store> store;
  Writes writes = Writes::Together;
  bool append_only = false;  // What is removed elsewhere stays there.
};

struct MirrorOptions {
  std::string name;
  std::string state_path;   // Of MirrorState; empty: members are compared by every process.
  unsigned copies_min = 1;  // A write that fewer members took has failed.
};

struct MemberStatus {
  std::string name;
  std::string location;
  bool behind = false;
  bool later = false;  // It is never written together with the others: behind is its nature.
  std::string why;
  std::int64_t since = 0;
};

struct CatchUpWish {
  // A member that held a repository and holds none now is told of, not filled: it may not be
  // mounted. This is set when it was emptied on purpose.
  bool refill = false;
  bool later = true;  // Those that are written later, too.
  // When not everything is copied by then, a member stays behind.
  std::chrono::steady_clock::time_point until = std::chrono::steady_clock::time_point::max();
  std::stop_token stop = {};
};

struct CatchUpReport {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t removed = 0;
  std::vector<std::string> problems;  // Members that stay behind, and why.
};

// Of a member, how each of its files was found.
struct MemberScrub {
  std::string name;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t mended = 0;  // Not what their names say, or missing; and brought again.
  std::uint64_t wrong = 0;   // Damaged or missing, and stay so.
  std::vector<std::string> mended_files;  // At most kToldMax of these …
  std::vector<std::string> problems;      // … and of these: what stays wrong or was not answered.

  static constexpr std::size_t kToldMax = 20;
};

struct ScrubWish {
  // When packs of a member were last read, by its name; nothing: nobody remembers.
  std::function<class ReadLedger*(const std::string& member)> ledger = {};
  // Whether these are the bytes of the repository's config, whose name does not tell; nothing: not
  // looked at.
  std::function<bool(View)> is_config = {};
  std::int64_t now = 0;  // Seconds since 1970.
  double share = 1;      // Of the packs of a member: so many are read, those longest unread first.
  std::stop_token stop = {};
};

struct ScrubProgress {
  std::atomic<std::uint64_t> files{0};
  std::atomic<std::uint64_t> bytes{0};
};

// Thread-safe.
class MirrorStore final : public Store {
 public:
  // REQUIRES: at least one member; all in the order in which they are read.
  MirrorStore(std::vector<MirrorMember> members, const MirrorOptions& options);
  ~MirrorStore() override;

  std::string location() const override { return "mirror:" + options_.name; }
  Outcome<void> prepare() override;
  Outcome<Bytes> read(const FileName& name) override;
  Outcome<Bytes> read_part(const FileName& name, std::uint64_t offset,
                           std::uint64_t length) override;
  Outcome<std::uint64_t> size(const FileName& name) override;
  // Done when copies_min members have it durably. Who failed is behind from then on.
  Outcome<void> write(const FileName& name, View bytes) override;
  Outcome<void> remove(const FileName& name) override;
  Outcome<void> sweep() override;
  bool distrust(const FileName& name) override;
  // Of locks: those of every member that answers. Of others: what the first healthy one has; once
  // something was written, of none that lacks something: a prune would remove what it does not see.
  Outcome<std::vector<StoredFile>> list(FileKind kind) override;
  void keep_reserve() override {
    for (const auto& member : members_) member->is.store->keep_reserve();
  }
  void free_reserve() override {
    for (const auto& member : members_) member->is.store->free_reserve();
  }

  std::vector<MemberStatus> status() const;
  // Copies to those that are behind what the first healthy member has and they have not, locks
  // excepted; each file is checked against its name on the way. Writers wait for its end only.
  CatchUpReport catch_up(const CatchUpWish& wish);
  // Reads every file of every member against its name, members at once, and mends from the others
  // what is not what it should be. Of a member that is behind: only what it has.
  // REQUIRES: a lock on the repository, so that nobody removes meanwhile.
  std::vector<MemberScrub> scrub(const ScrubWish& wish, ScrubProgress& progress);

 private:
  struct Member {
    MirrorMember is;
    std::atomic<bool> behind{true};
    std::atomic<bool> empty{false};             // It holds no repository, and another does.
    std::atomic<std::int64_t> silent_until{0};  // Did not answer a read: asked last till then.
  };

  void begin(MirrorRecord& record);
  // Once, before anything else is asked: a member without a repository is none to read from.
  void examine();
  void examine_once() {
    std::call_once(examined_, [this] { examine(); });
  }
  // In the order in which they are to be asked, for this file if there is one.
  std::vector<Member*> readers(const std::optional<FileName>& name);
  std::vector<Member*> writers();
  Member* leader();
  template <class Call>
  auto read_first(const std::optional<FileName>& name, Call&& call)
      -> decltype(call(std::declval<Store&>()));
  template <class Call>
  std::vector<Outcome<void>> at_once(const std::vector<Member*>& members, Call&& call);
  Outcome<std::vector<StoredFile>> list_of_sound(FileKind kind);
  Outcome<void> begin_writing();
  Outcome<void> set_behind(Member& member, const std::string& why,
                           const std::vector<FileName>& removals);
  bool holds_already(Member& member, const FileName& name, View bytes);
  Outcome<void> judge_writes(const std::vector<Member*>& members,
                             const std::vector<Outcome<void>>& results);

  void scrub_one(Member& member, const ScrubWish& wish, ScrubProgress& progress,
                 MemberScrub& found);
  enum class Fault : std::uint8_t { Damaged, Missing, Unreadable };
  static std::string_view text_of_fault(Fault fault);
  bool scrub_file(Member& member, const FileName& name, const ScrubWish& wish, MemberScrub& found);
  void mend(Member& member, const FileName& name, Fault fault, const ScrubWish& wish,
            MemberScrub& found);
  std::vector<FileName> missing_in(Member& member, FileKind kind,
                                   const std::vector<StoredFile>& there);
  std::optional<Bytes> whole_elsewhere(const Member& member, const FileName& name,
                                       const ScrubWish& wish);

  struct CatchUpRun {
    const CatchUpWish& wish;
    CatchUpReport report;
    // Locked: it is time to stop.
    Outcome<void> goes_on() const;
  };
  Outcome<void> catch_up_one(Member& member, CatchUpRun& run);
  Outcome<void> check_same(Member& from, Member& to, bool refill);
  Outcome<void> copy_missing(Member& from, Member& to, CatchUpRun& run);
  Outcome<void> copy_kind(Member& to, FileKind kind, const std::vector<StoredFile>& wanted,
                          CatchUpRun& run);
  Outcome<void> copy_file(Member& to, const FileName& name, CatchUpRun& run);
  Outcome<void> copy_long(Member& to, const FileName& name, std::uint64_t size, CatchUpRun& run);
  Outcome<void> remove_missed(Member& from, Member& to, CatchUpRun& run);
  bool is_distrusted(const Member& member, const FileName& name);

  std::vector<std::unique_ptr<Member>> members_;
  MirrorOptions options_;
  MirrorState state_;
  std::shared_mutex writing_;  // Shared: a write. Alone: the last look of catch_up().
  std::once_flag examined_;
  std::mutex distrust_mutex_;
  std::map<FileName, std::set<const Member*>> distrusted_;  // At most kDistrustedMax files.
  std::mutex begin_mutex_;
  bool has_begun_ = false;
  std::atomic<bool> has_written_{false};  // A sound member took something, a lock at least.
};

}  // namespace recover::backup
