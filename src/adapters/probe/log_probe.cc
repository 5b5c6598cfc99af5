// Follows a log file and looks for lines that mean trouble.
//
// Only what is written after the first look counts. A file renamed away is read to its end before
// the one that took its place is read from its start; a truncated one is read anew. Matches are
// counted over a sliding window of the engine's own time, so a jump of the wall clock is nothing.
#include <fcntl.h>
#include <re2/re2.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "adapters/probe/runners.h"
#include "posix/descriptor.h"

namespace recover::adapters::probe {
namespace {

using core::FailureClass;
using core::Symptom;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kLineMax = 64U << 10U;  // The rest of a longer line is passed over.
constexpr std::size_t kLookMax = 16U << 20U;  // Bytes of one look; the next goes on from there.
constexpr std::size_t kShownMax = 200;        // Bytes of a line in what is told.

std::string shown(std::string_view line) {
  std::string text(line.substr(0, kShownMax));
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return line.size() > kShownMax ? text + "…" : text;
}

// The lines that came since the last look, through rotation and truncation. Blocks; one thread at a
// time.
class Tail {
 public:
  explicit Tail(std::string path) : path_(std::move(path)) {}

  // Calls `line` for each whole line. Returns an errno when there is no file to read.
  template <class Line>
  int read(const Line& line) {
    std::size_t left = kLookMax;
    const bool first = std::exchange(first_, false);
    struct stat there {};
    const int missing = ::stat(path_.c_str(), &there) == 0 ? 0 : errno;
    if (file_ && (missing != 0 || !is(there))) {  // Renamed away: its last lines count, too.
      drain(line, left);
      if (left == 0) return 0;  // The new one next time.
      file_.reset();
      partial_.clear();
    }
    if (missing != 0) return missing;
    if (!file_) {
      if (const int error = open(first)) return error;
    }
    if (::fstat(file_.get(), &there) == 0 && there.st_size < offset_) {
      offset_ = 0;
      partial_.clear();
    }
    drain(line, left);
    return 0;
  }

 private:
  bool is(const struct stat& file) const { return file.st_dev == device_ && file.st_ino == inode_; }
  int open(bool at_end) {
    file_ = posix::Descriptor(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    struct stat now {};
    if (!file_ || ::fstat(file_.get(), &now) != 0) {
      const int error = errno;
      file_.reset();
      return error;
    }
    if (!S_ISREG(now.st_mode)) {
      file_.reset();
      return EINVAL;
    }
    device_ = now.st_dev;
    inode_ = now.st_ino;
    offset_ = at_end ? now.st_size : 0;
    return 0;
  }
  template <class Line>
  void drain(const Line& line, std::size_t& left) {
    std::array<char, 65'536> chunk{};
    while (left > 0) {
      const ssize_t size =
          ::pread(file_.get(), chunk.data(), std::min(chunk.size(), left), offset_);
      if (size <= 0) return;
      offset_ += size;
      left -= static_cast<std::size_t>(size);
      take({chunk.data(), static_cast<std::size_t>(size)}, line);
    }
  }
  template <class Line>
  void take(std::string_view bytes, const Line& line) {
    while (!bytes.empty()) {
      const auto end = bytes.find('\n');
      const std::string_view piece = bytes.substr(0, end);
      partial_.append(piece.substr(0, kLineMax - std::min(partial_.size(), kLineMax)));
      if (end == std::string_view::npos) return;
      line(std::string_view(partial_));
      partial_.clear();
      bytes.remove_prefix(end + 1);
    }
  }

  const std::string path_;
  bool first_ = true;
  posix::Descriptor file_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
  off_t offset_ = 0;
  std::string partial_;  // A line not yet ended.
};

class LogWatch {
 public:
  LogWatch(core::LogProbe probe, std::unique_ptr<RE2> pattern)
      : probe_(std::move(probe)), pattern_(std::move(pattern)), tail_(probe_.path) {}

  Finding look() {
    const Clock::time_point now = Clock::now();
    if (!heard_) heard_ = now;
    const int missing = tail_.read([&](std::string_view line) {
      heard_ = now;
      if (!pattern_ || !RE2::PartialMatch(line, *pattern_)) return;
      last_ = shown(line);
      matches_.push_back(now);
      if (matches_.size() > std::size_t{probe_.max} + 1) matches_.pop_front();
      ++seen_;
    });
    while (!matches_.empty() && now - matches_.front() > probe_.window) matches_.pop_front();
    if (missing == EINVAL) return not_done(probe_.path + " is no regular file");
    if (matches_.size() > probe_.max) return too_many();
    if (missing == ENOENT || missing == ENOTDIR) return wrong(probe_.path + " does not exist");
    if (missing != 0) return of_errno(missing, probe_.path);
    if (probe_.max_silence && now - *heard_ > *probe_.max_silence) {
      return silent(probe_.path + ": no line for " + seconds(now - *heard_));
    }
    return passed(std::to_string(seen_) + " matching lines so far");
  }

 private:
  static std::string seconds(Duration duration) {
    return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(duration).count()) +
           " s";
  }
  Finding too_many() const {
    const std::string count = probe_.max == 0 ? ": "
                                              : ": more than " + std::to_string(probe_.max) +
                                                    " matching lines in " + seconds(probe_.window) +
                                                    ", the last: ";
    return failed(probe_.max == 0 ? Symptom::PatternMatched : Symptom::HighErrorRate,
                  FailureClass::ServiceFailure, probe_.path + count + last_);
  }

  const core::LogProbe probe_;
  const std::unique_ptr<RE2> pattern_;  // Null: only silence is watched.
  Tail tail_;
  std::deque<Clock::time_point> matches_;   // The newest `max` + 1.
  std::optional<Clock::time_point> heard_;  // When the last line came; the first look at first.
  std::string last_;
  std::uint64_t seen_ = 0;
};

}  // namespace

std::unique_ptr<ProbeRunner> make_log(const core::LogProbe& probe, const Tools& tools) {
  std::unique_ptr<RE2> pattern;
  if (!probe.pattern.empty()) {
    pattern = std::make_unique<RE2>(probe.pattern, RE2::Quiet);
    if (!pattern->ok()) {
      return make_blocking([] { return not_done("`pattern` is no pattern"); }, "pattern", tools);
    }
  }
  const auto watch = std::make_shared<LogWatch>(probe, std::move(pattern));
  return make_blocking([watch] { return watch->look(); }, probe.path, tools);
}

}  // namespace recover::adapters::probe
