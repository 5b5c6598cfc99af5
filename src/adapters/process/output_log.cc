#include "adapters/process/output_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <system_error>
#include <utility>

namespace recover::adapters::process {
namespace {

constexpr mode_t kLogMode = 0640;

std::string numbered(const std::string& path, std::uint32_t number) {
  return path + "." + std::to_string(number);
}

}  // namespace

std::string wall_stamp() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  std::tm parts{};
  ::gmtime_r(&now.tv_sec, &parts);
  std::array<char, 40> date{};
  std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), "%s.%03dZ", date.data(),
                static_cast<int>(now.tv_nsec / 1'000'000));
  return text.data();
}

OutputLog::OutputLog(core::OutputPolicy policy, std::function<void(std::string_view)> on_line)
    : policy_(std::move(policy)), on_line_(std::move(on_line)), budget_(policy_.rate) {}

void OutputLog::feed(std::string_view bytes, Instant now) {
  while (!bytes.empty()) {
    const auto end = bytes.find('\n');
    const auto room = kLineMax - partial_.size();
    const auto size = std::min({end, bytes.size(), room});
    partial_.append(bytes.substr(0, size));
    bytes.remove_prefix(size);
    const bool ended = end == size;
    if (ended) bytes.remove_prefix(1);
    if (ended || partial_.size() >= kLineMax) flush_line(now);
  }
}

void OutputLog::flush_line(Instant now) {
  const std::string text = std::exchange(partial_, {});
  line(text, now);
}

void OutputLog::flush(Instant now) {
  if (!partial_.empty()) flush_line(now);
  note_dropped();
}

std::vector<std::string> OutputLog::tail(std::size_t lines) const {
  std::vector<std::string> last;
  const std::size_t count = std::min(lines, tail_.size());
  last.reserve(count);
  for (std::size_t at = tail_.size() - count; at < tail_.size(); ++at) {
    last.push_back(tail_[(oldest_ + at) % tail_.size()]);
  }
  return last;
}

void OutputLog::clear() {
  tail_.clear();
  oldest_ = 0;
  recorded_ = 0;
  if (policy_.path.empty()) return;
  if (!file_) open();
  if (file_ && ::ftruncate(file_.get(), 0) == 0) size_ = 0;
}

void OutputLog::line(std::string_view text, Instant now) {
  if (!within_rate(text.size() + 1, now)) {
    ++dropped_;
    ++dropped_unsaid_;
    return;
  }
  note_dropped();
  record(text);
  if (on_line_) on_line_(text);
}

bool OutputLog::within_rate(std::size_t size, Instant now) {
  if (now > budget_at_) {
    const auto seconds = std::chrono::duration<double>(now - budget_at_).count();
    const double earned = std::min(seconds, 1.0) * static_cast<double>(policy_.rate);
    budget_ = std::min(policy_.rate, budget_ + static_cast<std::uint64_t>(earned));
    budget_at_ = now;
  }
  if (size > budget_) return false;
  budget_ -= size;
  return true;
}

void OutputLog::note_dropped() {
  const auto count = std::exchange(dropped_unsaid_, 0);
  if (count > 0) record("[" + std::to_string(count) + " lines dropped: too many at once]");
}

void OutputLog::record(std::string_view text) {
  std::string stamped = wall_stamp();
  stamped += ' ';
  stamped += text;
  append(stamped);
  keep(std::move(stamped));
  const std::string why = std::exchange(untold_, {});
  if (!why.empty()) keep(wall_stamp() + " " + why);
}

void OutputLog::keep(std::string stamped) {
  recorded_ += stamped.size() + 1;
  if (tail_.size() < kTailLinesMax) {
    tail_.push_back(std::move(stamped));
    return;
  }
  tail_[oldest_] = std::move(stamped);
  oldest_ = (oldest_ + 1) % kTailLinesMax;
}

void OutputLog::append(std::string_view stamped) {
  if (policy_.path.empty()) return;
  if (!file_) open();
  if (size_ > 0 && size_ + stamped.size() + 1 > policy_.rotate) rotate();
  if (!file_) return;
  const std::string whole = std::string(stamped) + "\n";
  const ssize_t written = ::write(file_.get(), whole.data(), whole.size());
  if (written > 0) size_ += static_cast<std::uint64_t>(written);
  if (written != static_cast<ssize_t>(whole.size())) ++dropped_;  // A full disk: go on without.
}

void OutputLog::open() {
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(policy_.path).parent_path(), ignored);
  // Whoever may write to its folder decides what stands at the path: we neither wait for it nor
  // write to what it points at.
  constexpr int kPlainOnly = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  file_.reset(::open(policy_.path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | kPlainOnly,
                     kLogMode));
  const bool stands_in = !file_ && (errno == ELOOP || errno == ENXIO);
  struct stat status {};
  const bool known = file_ && ::fstat(file_.get(), &status) == 0;
  const bool plain = known && S_ISREG(status.st_mode) && status.st_nlink == 1;
  size_ = plain ? static_cast<std::uint64_t>(status.st_size) : 0;
  if (!plain && (file_ || stands_in) && !std::exchange(told_, true)) {
    untold_ = "[" + policy_.path + " is no plain file with one name: nothing is written to it]";
  }
  if (!plain) file_.reset();
}

void OutputLog::rotate() {
  file_.reset();
  for (std::uint32_t number = policy_.keep; number > 1; --number) {
    ::rename(numbered(policy_.path, number - 1).c_str(), numbered(policy_.path, number).c_str());
  }
  if (policy_.keep > 0) {
    ::rename(policy_.path.c_str(), numbered(policy_.path, 1).c_str());
  } else {
    ::unlink(policy_.path.c_str());
  }
  open();
}

}  // namespace recover::adapters::process
