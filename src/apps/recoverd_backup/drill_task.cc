#include "apps/recoverd_backup/drill_task.h"

#include <boost/json.hpp>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "apps/recoverd_backup/sources/source_drill.h"
#include "backup/browse/tree_walk.h"
#include "backup/local/file.h"
#include "base/size_text.h"

namespace recover::apps {
namespace {

namespace json = boost::json;
using backup::FailureKind;
using backup::Outcome;
using Found = backup::Repository::FoundSnapshot;
using SteadyTime = std::chrono::steady_clock;

constexpr std::uint64_t kBlockBytes = 4096;            // What a small file takes on a disk.
constexpr std::size_t kSourcesTold = 100;              // A report is of bounded length.
constexpr unsigned kReservePercent = 5;                // Of the disk, left to others.
constexpr std::uint64_t kServerBytes = 256ULL << 20U;  // A database of its own, empty.

double seconds_since(SteadyTime::time_point begun) {
  return std::chrono::duration<double>(SteadyTime::now() - begun).count();
}

double seconds_paused(const RestoreTest& test) {
  return test.paused ? std::chrono::duration<double>(test.paused()).count() : 0;
}

struct Room {
  std::uint64_t bytes = 0;
  std::uint64_t entries = 0;
};

// A source, and what of it is to be restored.
struct Part {
  const JobSource* source = nullptr;  // None: the newest of whatever.
  std::vector<Found> snapshots;
  Room room;

  bool is_native() const { return source != nullptr && core::is_native(source->native); }
  std::string name() const {
    if (source == nullptr) return snapshots.front().snapshot.paths.front();
    if (!source->paths.empty()) return source->paths.front();
    return source->name;
  }
};

// What the database that is started from a dump takes beside it.
std::uint64_t with_server(const core::NativeSource& native, std::uint64_t bytes) {
  const bool has_server = std::holds_alternative<core::PostgresSource>(native) ||
                          std::holds_alternative<core::MysqlSource>(native);
  return has_server ? 4 * bytes + kServerBytes : 2 * bytes;
}

class Drill {
 public:
  Drill(const backup::Repository& repository, const RestoreTest& test, DrillProgress& progress,
        const std::stop_token& stop)
      : repository_(repository), test_(test), progress_(progress), stop_(stop) {}

  Outcome<json::object> run() {
    auto index = repository_.load_index();
    if (!index) return Unexpected(std::move(index.error()));
    index_ = &*index;
    auto parts = parts_of_all();
    if (!parts) return Unexpected(std::move(parts.error()));
    // Before anything is restored: that of the last source may be the one for which it is too
    // small.
    for (const Part& part : *parts) {
      if (auto fits = check_room(part); !fits) return Unexpected(std::move(fits.error()));
    }
    for (const Part& part : *parts) {
      auto done = part.is_native() ? start_native(part) : restore_files(part);
      if (!done) return Unexpected(std::move(done.error()));
    }
    if (files_ == 0) return backup::fail(FailureKind::NotFound, "the newest backup holds no file");
    return result();
  }

 private:
  Outcome<std::vector<Part>> parts_of_all() const {
    std::vector<Part> parts;
    if (test_.job.sources.empty()) parts.emplace_back();
    for (const JobSource& source : test_.job.sources) parts.emplace_back().source = &source;
    for (Part& part : parts) {
      if (auto found = find(part); !found) return Unexpected(std::move(found.error()));
    }
    return parts;
  }

  Outcome<void> find(Part& part) const {
    if (part.is_native()) {
      auto set = newest_set(test_.snapshots, part.source->name);
      if (!set) return Unexpected(std::move(set.error()));
      part.snapshots = std::move(*set);
    } else {
      const auto newest = newest_of(test_, part.source);
      if (!newest) return Unexpected(newest.error());
      part.snapshots.push_back(**newest);
    }
    for (const Found& found : part.snapshots) {
      if (auto measured = measure(found, part.room); !measured) return measured;
    }
    if (part.is_native()) part.room.bytes = with_server(part.source->native, part.room.bytes);
    return {};
  }

  Outcome<void> measure(const Found& found, Room& room) const {
    std::set<std::pair<std::uint64_t, std::uint64_t>> linked;
    return walk_tree(
        repository_, *index_, found.snapshot.tree,
        [&](const std::string& /*path*/, const backup::Node& node) -> Outcome<backup::TreeVisit> {
          if (stop_.stop_requested()) return backup::fail(FailureKind::Invalid, "it was stopped");
          const bool again = node.type == backup::NodeType::File && node.links > 1 &&
                             !linked.emplace(node.device_id, node.inode).second;
          if (again) return backup::TreeVisit::GoOn;
          ++room.entries;
          room.bytes += (node.size + 2 * kBlockBytes - 1) / kBlockBytes * kBlockBytes;
          progress_.bytes_wanted += node.size;
          return backup::TreeVisit::GoOn;
        });
  }

  // One source lies there at a time.
  Outcome<void> check_room(const Part& part) const {
    const auto needed = part.room.bytes;
    const auto refuse = [&](const std::string& why) {
      return backup::fail(FailureKind::Full, test_.job.scratch + ": restoring all of " +
                                                 part.name() + " takes about " +
                                                 base::format_size(needed) + ", " + why);
    };
    const std::uint64_t most = test_.job.scratch_max;
    if (most != 0 && needed > most) {
      return refuse("and `scratch_max` is " + base::format_size(most));
    }
    struct statvfs disk {};
    if (::statvfs(test_.job.scratch.c_str(), &disk) != 0) {
      return backup::system_failure("looking at", test_.job.scratch);
    }
    const std::uint64_t unit = disk.f_frsize;
    const std::uint64_t reserve = disk.f_blocks * unit / 100 * kReservePercent;
    const std::uint64_t free = disk.f_bavail * unit;
    if (needed + reserve > free) {
      return refuse("and " + base::format_size(free) + " are free there, of which " +
                    base::format_size(reserve) + " are left to others");
    }
    if (disk.f_files != 0 && part.room.entries > disk.f_favail) {
      return refuse("and " + std::to_string(part.room.entries) + " entries of which " +
                    std::to_string(disk.f_favail) + " can be made");
    }
    return {};
  }

  Outcome<void> restore_files(const Part& part) {
    const Found& found = part.snapshots.front();
    const std::string to = test_.job.scratch + "/drill";
    auto done = restore_into(to, part, found);
    std::error_code ignored;
    std::filesystem::remove_all(to, ignored);
    return done;
  }

  Outcome<void> restore_into(const std::string& to, const Part& part, const Found& found) {
    progress_.step = DrillProgress::Step::Restore;
    auto begun = SteadyTime::now();
    const double paused = seconds_paused(test_);
    const auto report =
        restore(repository_, found.snapshot,
                {.to = to, .sparse = true, .owners = ::geteuid() == 0, .threads = test_.threads},
                progress_.restored, stop_);
    if (!report) return Unexpected(report.error());
    if (report->problem_count > 0) return Unexpected(judged(*report));
    const double took = std::max(0.0, seconds_since(begun) - (seconds_paused(test_) - paused));
    progress_.step = DrillProgress::Step::Compare;
    begun = SteadyTime::now();
    const bool of_files = part.source != nullptr && !part.source->paths.empty();
    const auto compared = compare_restored(
        repository_, *index_, found.snapshot,
        {.root = to, .with_source = of_files, .threads = test_.threads}, progress_.compared, stop_);
    if (!compared) return Unexpected(compared.error());
    note(part, found, *compared, took, seconds_since(begun));
    if (compared->wrong_count > 0) {
      return backup::fail(FailureKind::Damaged,
                          std::to_string(compared->wrong_count) +
                              " entries are not what was backed up: " + compared->wrong.front());
    }
    if (compared->unlike_source_count > 0) {
      return backup::fail(FailureKind::Damaged,
                          std::to_string(compared->unlike_source_count) +
                              " files are not what their source holds, which by its size and times "
                              "has not changed since: " +
                              compared->unlike_source.front());
    }
    return {};
  }

  void note(const Part& part, const Found& found, const Comparison& compared, double restored,
            double took) {
    files_ += compared.files;
    bytes_ += compared.bytes;
    rto_seconds_ += restored;
    compare_seconds_ += took;
    note_snapshot(found);
    if (sources_.size() >= kSourcesTold) return;
    sources_.push_back(json::object{{"source", part.name()},
                                    {"snapshot", backup::hex(found.id)},
                                    {"files", compared.files},
                                    {"bytes", compared.bytes},
                                    {"others", compared.others},
                                    {"restore_seconds", restored},
                                    {"compare_seconds", took},
                                    {"same_as_source", compared.as_source},
                                    {"changed_since", compared.changed},
                                    {"gone_since", compared.gone}});
  }

  void note_snapshot(const Found& found) {
    if (snapshot_.empty()) snapshot_ = backup::hex(found.id);
    const std::int64_t at = found.snapshot.time.seconds;
    oldest_ = oldest_ == 0 ? at : std::min(oldest_, at);
  }

  Outcome<void> start_native(const Part& part) {
    progress_.step = DrillProgress::Step::Start;
    const double paused = seconds_paused(test_);
    const auto drill =
        drill_source(repository_, test_.snapshots, *part.source, test_.job.scratch, stop_);
    if (!drill) return Unexpected(drill.error());
    files_ += drill->snapshots.size();
    bytes_ += drill->bytes;
    const double rto = std::max(0.0, drill->rto_seconds - (seconds_paused(test_) - paused));
    rto_seconds_ += rto;
    note_snapshot(part.snapshots.front());
    if (drills_.size() >= kSourcesTold) return {};
    drills_.push_back(json::object{{"source", drill->source},
                                   {"snapshots", json::value_from(drill->snapshots)},
                                   {"bytes", drill->bytes},
                                   {"asked", drill->answer.asked},
                                   {"answer", drill->answer.answer},
                                   {"rto_seconds", rto}});
    return {};
  }

  json::object result() {
    json::object result{{"snapshot", snapshot_},
                        {"files", files_},
                        {"bytes", bytes_},
                        {"rto_seconds", rto_seconds_},
                        {"compare_seconds", compare_seconds_},
                        {"rpo_seconds", std::max<std::int64_t>(0, test_.now - oldest_)},
                        {"sources", std::move(sources_)}};
    if (!drills_.empty()) result["drills"] = std::move(drills_);
    return result;
  }

  const backup::Repository& repository_;
  const RestoreTest& test_;
  DrillProgress& progress_;
  const std::stop_token& stop_;
  const backup::BlobIndex* index_ = nullptr;
  std::string snapshot_;
  std::uint64_t files_ = 0;
  std::uint64_t bytes_ = 0;
  double rto_seconds_ = 0;
  double compare_seconds_ = 0;
  std::int64_t oldest_ = 0;
  json::array sources_;
  json::array drills_;
};

}  // namespace

json::object DrillProgress::told() const {
  const Step at = step;
  std::string_view phase = "measure";
  if (at == Step::Restore) phase = "restore";
  if (at == Step::Compare) phase = "compare";
  if (at == Step::Start) phase = "start";
  json::object told{{"phase", phase}};
  const bool compares = at == Step::Compare;
  told["files_done"] = compares ? compared.files.load() : restored.files.load();
  told["bytes_done"] = compares ? compared.bytes.load() : restored.bytes.load();
  if (at != Step::Measure) told["total_bytes"] = bytes_wanted.load();
  return told;
}

Outcome<json::object> drill_all(const backup::Repository& repository, const RestoreTest& test,
                                DrillProgress& progress, const std::stop_token& stop) {
  return Drill(repository, test, progress, stop).run();
}

}  // namespace recover::apps
