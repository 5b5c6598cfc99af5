#include "apps/recoverd_backup/protect.h"

#include <boost/json.hpp>
#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "apps/recoverd_backup/job_store.h"
#include "apps/recoverd_backup/machine.h"
#include "apps/recoverd_backup/protected_source.h"
#include "apps/recoverd_backup/thinning.h"
#include "backup/repo/index_cache.h"

namespace recover::apps {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using backup::Failure;
using backup::FailureKind;
using backup::Outcome;
using backup::Repository;
using Clock = ProtectedSource::Clock;
using Seconds = std::chrono::duration<double>;

constexpr Clock::duration kReopenEvery = std::chrono::minutes(10);  // While a member is behind.
constexpr Clock::duration kRetryFirst = 500ms;
constexpr Clock::duration kRetryMax = 30s;
constexpr Clock::duration kStatusEvery = 10s;  // Or more often, if the RPO is short.
constexpr Clock::duration kThinEvery = 1h;
constexpr std::size_t kThinAfter = 200;  // Snapshots of our own since the last time.

double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto of = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return of(used.ru_utime) + of(used.ru_stime);
}

// Whether the worker need not go on: a person has to do something first.
bool is_final(FailureKind kind) {
  switch (kind) {
    case FailureKind::WrongPassword:
    case FailureKind::Unsupported:
    case FailureKind::Invalid: return true;
    case FailureKind::NotFound:
    case FailureKind::Exists:
    case FailureKind::Damaged:
    case FailureKind::Locked:
    case FailureKind::Full:
    case FailureKind::NotPermitted:
    case FailureKind::Unreachable:
    case FailureKind::Io: return false;
  }
  return false;
}

// What is open while the store answers.
struct StoreSession {
  JobStore store;
  std::unique_ptr<Repository> repository;
  std::unique_ptr<backup::LiveIndex> index;
};

class Protector {
 public:
  Protector(const Job& job, std::ostream& out, const std::stop_token& stop)
      : job_(job), out_(out), stop_(stop) {
    // Armed before anything is read: what changes during the first walk is told.
    for (const JobSource& source : job_.sources) {
      sources_.push_back(std::make_unique<ProtectedSource>(job_, source));
    }
  }

  Outcome<json::object> run() {
    say("protecting", {{"sources", sources_.size()}});
    while (!stop_.stop_requested()) {
      auto done = turn();
      if (done) {
        retry_after_ = kRetryFirst;
        wait();
        continue;
      }
      if (stop_.stop_requested()) break;
      if (is_final(done.error().kind)) return Unexpected(std::move(done.error()));
      say("waiting", {{"code", code_of(done.error().kind)},
                      {"error", done.error().message},
                      {"next_try_seconds", Seconds(retry_after_).count()}});
      // A lock of somebody else says nothing against what is open.
      if (done.error().kind != FailureKind::Locked) session_.reset();
      wait_for_store();
    }
    return json::object{{"snapshots_made", made_}, {"rpo_worst_seconds", worst_}};
  }

 private:
  // Everything that is due.
  Outcome<void> turn() {
    bool begun = false;
    if (session_ && Clock::now() - opened_ > kReopenEvery) look_at_members();
    for (const auto& source : sources_) {
      if (stop_.stop_requested() || source->due() > Clock::now()) continue;
      if (auto opened = open(); !opened) return opened;
      auto lock = backup::RepositoryLock::acquire(*session_->repository, backup::LockKind::Shared);
      if (!lock) return Unexpected(std::move(lock.error()));
      if (auto fresh = session_->index->refresh(); !fresh) return fresh;
      if (auto made = make(*source, **lock); !made) return made;
      begun = true;
    }
    return begun ? thin() : Outcome<void>();
  }

  // As long as we write, nobody else can say of a member that it lacks nothing: opened anew, it
  // gets what little the daemon's own catching up has left.
  void look_at_members() {
    opened_ = Clock::now();
    if (session_->store.mirror == nullptr) return;
    const auto members = session_->store.mirror->status();
    const bool lacks = std::any_of(members.begin(), members.end(),
                                   [](const auto& one) { return one.behind && !one.later; });
    if (lacks) session_.reset();
  }

  Outcome<void> open() {
    if (session_) return {};
    opened_ = Clock::now();
    auto session = std::make_unique<StoreSession>();
    auto store = open_job_store(job_);
    if (!store) return Unexpected(std::move(store.error()));
    session->store = std::move(*store);
    auto repository = Repository::open(*session->store.store, job_.password);
    if (!repository) return Unexpected(std::move(repository.error()));
    if (session->store.mirror != nullptr) {
      static_cast<void>(catch_up_shortly(*session->store.mirror, false, stop_));
    }
    session->repository = std::make_unique<Repository>(std::move(*repository));
    session->repository->set_cache_folder(backup::default_cache_folder());
    if (auto free = remove_own_locks(*session->repository); !free) return free;
    auto snapshots = session->repository->snapshots();
    if (!snapshots) return Unexpected(std::move(snapshots.error()));
    for (const auto& source : sources_) source->find_parent(*session->repository, *snapshots);
    ours_.clear();
    for (Repository::FoundSnapshot& one : *snapshots) {
      if (one.snapshot.host == this_host() && is_continuous(one) &&
          one.snapshot.tags.front() == job_.type) {
        ours_.push_back(std::move(one));
      }
    }
    session->index = std::make_unique<backup::LiveIndex>(*session->repository);
    session_ = std::move(session);
    return {};
  }

  Outcome<void> make(ProtectedSource& source, backup::RepositoryLock& lock) {
    const double cpu = cpu_seconds();
    auto made = source.make(*session_->repository, *session_->index, lock, stop_);
    if (!made) return Unexpected(std::move(made.error()));
    const backup::ArchiveReport& report = made->report;
    json::object message{{"snapshot", backup::hex(report.id)},
                         {"written", report.is_written},
                         {"changes", made->changes},
                         {"everything", made->everything},
                         {"why", made->why},
                         {"problem_count", report.problem_count},
                         {"seconds", made->took.count()}};
    if (report.is_written) {
      ++made_;
      ++made_since_thinned_;
      ours_.push_back({.id = report.id, .snapshot = report.snapshot});
      ours_.back().snapshot.summary.reset();
      const auto& summary = report.snapshot.summary.value();
      message["files_changed"] = summary.files_new + summary.files_changed;
      message["bytes_added"] = summary.data_added_packed;
    }
    if (made->rpo) {
      last_ = made->rpo->count();
      worst_ = std::max(worst_, last_);
      message["rpo_seconds"] = last_;
      message["rpo_met"] = *made->rpo <= job_.protection.rpo;
    }
    if (made->everything) ::malloc_trim(0);
    message["cpu_seconds"] = cpu_seconds() - cpu;
    say("snapshot", std::move(message));
    return {};
  }

  // Forgets those that are too many: their files only, under a lock held for as long as that takes.
  // Their space comes back with the next prune of whoever makes one.
  Outcome<void> thin() {
    const bool due = made_since_thinned_ >= kThinAfter || Clock::now() - thinned_ >= kThinEvery;
    if (!due || job_.store.append_only) return {};
    thinned_ = Clock::now();
    made_since_thinned_ = 0;
    if (auto free = remove_own_locks(*session_->repository); !free) return free;
    const std::vector<backup::Digest> forgotten = too_many(ours_, job_.retention);
    if (forgotten.empty()) return {};
    auto lock = backup::RepositoryLock::acquire(*session_->repository, backup::LockKind::Exclusive);
    if (!lock && lock.error().kind == FailureKind::Locked) return {};
    if (!lock) return Unexpected(std::move(lock.error()));
    for (const backup::Digest& id : forgotten) {
      const auto gone =
          session_->store.store->remove({.kind = backup::FileKind::Snapshot, .id = id});
      if (!gone && gone.error().kind != FailureKind::NotFound) return Unexpected(gone.error());
      std::erase_if(ours_, [&](const auto& one) { return one.id == id; });
    }
    say("thinned", {{"snapshots_forgotten", forgotten.size()}});
    return {};
  }

  // ---- waiting

  Clock::time_point next_due() const {
    Clock::time_point next = Clock::time_point::max();
    for (const auto& source : sources_) next = std::min(next, source->due());
    return next;
  }

  // Until something is due, or changed, or somebody wants to know.
  void wait() {
    const Clock::time_point now = Clock::now();
    if (now >= next_status_) {
      say("status", {});
      next_status_ = now + std::min<Clock::duration>(kStatusEvery, job_.protection.rpo / 4);
    }
    const Clock::time_point next = next_due();
    if (next <= now || stop_.stop_requested()) return;
    // With one source its changes wake us; with several they are looked at often enough.
    const bool one = sources_.size() == 1;
    const Clock::duration pace = job_.protection.rpo / 6;
    Clock::time_point until = std::min(next, next_status_);
    if (!one) until = std::min(until, now + pace);
    const bool quiet = !sources_.front()->watch().waiting().oldest.has_value();
    sources_.front()->wait_until(until, one && quiet, stop_);
  }

  void wait_for_store() {
    sources_.front()->wait_until(Clock::now() + retry_after_, false, stop_);
    const Clock::duration most = std::min<Clock::duration>(
        kRetryMax, std::max<Clock::duration>(kRetryFirst, job_.protection.rpo / 4));
    retry_after_ = std::min(2 * retry_after_, most);
  }

  // Every message says how far the protection reaches.
  void say(std::string_view type, json::object message) {
    const Clock::time_point now = Clock::now();
    std::size_t changes = 0;
    bool everything = false;
    std::optional<Clock::time_point> until = now;
    std::string feed;
    std::string trouble;
    for (const auto& source : sources_) {
      const backup::ChangeWatch::Waiting waiting = source->watch().waiting();
      changes += waiting.paths;
      everything = everything || waiting.everything;
      const auto reached = source->protected_until();
      until = until && reached ? std::optional(std::min(*until, *reached)) : std::nullopt;
      const auto kind = source->watch().kind();
      feed = kind ? std::string(to_string(*kind)) : "none";
      if (!kind) trouble = source->watch().trouble();
    }
    json::object line{{"message_type", type}};
    for (auto& field : message) line[field.key()] = std::move(field.value());
    line["feed"] = feed;
    if (!trouble.empty()) line["feed_trouble"] = trouble;
    line["changes_waiting"] = changes;
    line["everything_waiting"] = everything;
    if (until) line["oldest_seconds"] = Seconds(now - *until).count();
    line["rpo_wanted_seconds"] = Seconds(job_.protection.rpo).count();
    if (last_ >= 0) line["rpo_last_seconds"] = last_;
    if (worst_ >= 0) line["rpo_worst_seconds"] = worst_;
    line["snapshots_made"] = made_;
    out_ << json::serialize(line) << "\n" << std::flush;
  }

  const Job& job_;
  std::ostream& out_;
  const std::stop_token& stop_;
  std::vector<std::unique_ptr<ProtectedSource>> sources_;
  std::unique_ptr<StoreSession> session_;
  std::vector<Repository::FoundSnapshot> ours_;  // In the order of time.
  Clock::duration retry_after_ = kRetryFirst;
  Clock::time_point opened_ = Clock::now();
  Clock::time_point next_status_ = Clock::now();
  Clock::time_point thinned_ = Clock::now();
  std::size_t made_since_thinned_ = 0;
  std::uint64_t made_ = 0;
  double last_ = -1;   // RPO, seconds; negative: none measured.
  double worst_ = -1;  // Likewise.
};

}  // namespace

Outcome<json::object> protect(const Job& job, std::ostream& out, const std::stop_token& stop) {
  const bool all_paths =
      !job.sources.empty() && std::all_of(job.sources.begin(), job.sources.end(),
                                          [](const JobSource& one) { return !one.paths.empty(); });
  if (!all_paths) {
    return backup::fail(FailureKind::Invalid, "only paths can be protected continuously");
  }
  return Protector(job, out, stop).run();
}

}  // namespace recover::apps
