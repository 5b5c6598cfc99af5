#include "adapters/checkpoint/state_watch.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <optional>
#include <utility>

#include "adapters/checkpoint/file_system.h"
#include "core/policy.h"

namespace recover::adapters::checkpoint {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kLooksPerTrial = 5;
constexpr Duration kPauseMin = milliseconds{200};
constexpr Duration kPauseMax = seconds{30};

std::string text_of(const struct stat& status) {
  // Of a folder the times say nothing that the names in it do not.
  const bool folder = S_ISDIR(status.st_mode);
  std::string text;
  for (const std::uint64_t number :
       {std::uint64_t{status.st_mode}, std::uint64_t{status.st_uid}, std::uint64_t{status.st_gid},
        folder ? 0 : static_cast<std::uint64_t>(status.st_size),
        folder ? 0 : static_cast<std::uint64_t>(status.st_mtim.tv_sec),
        folder ? 0 : static_cast<std::uint64_t>(status.st_mtim.tv_nsec),
        std::uint64_t{status.st_ino}}) {
    text += std::to_string(number) + ",";
  }
  return text;
}

// Sorted; none where it cannot be read.
std::vector<std::string> names_below(const std::string& folder) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(folder.c_str()), &::closedir);
  if (!open) return names;
  while (const dirent* entry = ::readdir(open.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
    if (names.size() > kWatchedFilesMax) break;
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace

std::string fingerprint_of(const std::vector<std::string>& paths) {
  Sha256 hash;
  std::vector<std::string> left(paths.rbegin(), paths.rend());
  for (std::size_t seen = 0; !left.empty(); ++seen) {
    if (seen > kWatchedFilesMax || left.size() > 2 * kWatchedFilesMax) return {};
    const std::string path = std::move(left.back());
    left.pop_back();
    struct stat status {};
    const bool there = ::lstat(path.c_str(), &status) == 0;
    hash.add(path + '\0' + (there ? text_of(status) : std::string("absent")) + '\n');
    if (!there || !S_ISDIR(status.st_mode)) continue;
    const std::vector<std::string> names = names_below(path);
    for (auto name = names.rbegin(); name != names.rend(); ++name) {
      left.push_back(path + "/" + *name);
    }
  }
  return hash.hex();
}

struct StateWatch::Shared : std::enable_shared_from_this<Shared> {
  struct Watched {
    core::ServiceIndex service;
    std::vector<std::string> paths;
    std::string told;  // The fingerprint last sent.
  };

  Shared(asio::io_context& loop_in, asio::thread_pool& pool_in, ports::Sink sink_in)
      : loop(loop_in), pool(pool_in), sink(std::move(sink_in)), timer(loop_in) {}

  // The calls of one another below are posted, not made: no recursion.
  // NOLINTBEGIN(misc-no-recursion)
  void measure() {
    if (measuring || stopped || watched.empty()) return;
    measuring = true;
    std::vector<std::vector<std::string>> all;
    for (const Watched& each : watched) all.push_back(each.paths);
    asio::post(pool, [self = shared_from_this(), all = std::move(all), serial = policies,
                      guard = asio::make_work_guard(loop)] {
      std::vector<std::string> prints;
      for (const auto& paths : all) prints.push_back(fingerprint_of(paths));
      asio::post(self->loop,
                 [self, serial, prints = std::move(prints)] { self->measured(serial, prints); });
    });
  }

  void measured(std::uint64_t serial, const std::vector<std::string>& prints) {
    measuring = false;
    if (stopped) return;
    if (serial != policies) return measure();  // Of an older policy's list.
    arm();
    for (std::size_t index = 0; index < watched.size(); ++index) {
      Watched& each = watched[index];
      if (prints[index].empty() || prints[index] == each.told) continue;
      each.told = prints[index];
      sink(core::StateSeen{.service = each.service, .fingerprint = prints[index]});
    }
  }
  // NOLINTEND(misc-no-recursion)

  void arm() {
    timer.expires_after(pause);
    timer.async_wait([weak = weak_from_this()](boost::system::error_code error) {
      const auto self = weak.lock();
      if (!error && self) self->measure();
    });
  }

  asio::io_context& loop;
  asio::thread_pool& pool;
  ports::Sink sink;
  asio::steady_timer timer;
  std::vector<Watched> watched;
  Duration pause = kPauseMax;
  std::uint64_t policies = 0;  // Counts watch().
  bool measuring = false;
  bool stopped = false;
};

StateWatch::StateWatch(asio::io_context& loop, asio::thread_pool& pool, ports::Sink sink)
    : shared_(std::make_shared<Shared>(loop, pool, std::move(sink))) {}

// NOLINTNEXTLINE(bugprone-exception-escape)
StateWatch::~StateWatch() {
  shared_->stopped = true;
  shared_->timer.cancel();
}

void StateWatch::watch(const core::Policy& policy) {
  shared_->watched.clear();
  for (std::uint32_t index = 0; index < policy.services.size(); ++index) {
    const std::vector<std::string>& paths = policy.services[index].state;
    if (!paths.empty()) shared_->watched.push_back({core::ServiceIndex{index}, paths, {}});
  }
  shared_->pause =
      std::clamp<Duration>(policy.checkpoint.after / kLooksPerTrial, kPauseMin, kPauseMax);
  ++shared_->policies;
  shared_->timer.cancel();
  shared_->measure();
}

void StateWatch::look(core::ServiceIndex /*service*/) {}

}  // namespace recover::adapters::checkpoint
