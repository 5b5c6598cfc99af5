// The part of Instance about what it prints: the last lines of both outputs, and stderr where it
// has a log of its own.
#include <algorithm>
#include <chrono>
#include <iterator>
#include <string_view>
#include <utility>

#include "adapters/process/instance.h"

namespace recover::adapters::process {
namespace {

constexpr std::size_t kFailureLines = 5;

}  // namespace

std::string Instance::failure() const {
  std::string text = failure_;
  for (const std::string& line : tail(kFailureLines)) text += "\n" + line;
  return text;
}

void Instance::note(const std::string& text) {
  output_.feed("[recoverd: " + text + "]\n", std::chrono::steady_clock::now());
}

std::vector<std::string> Instance::tail(std::size_t lines) const {
  std::vector<std::string> own = output_.tail(lines);
  if (!errors_) return own;
  const std::vector<std::string> errors = errors_->log().tail(lines);
  // By their times alone: each keeps its own order.
  const auto stamp = [](const std::string& line) {
    return std::string_view(line).substr(0, line.find(' '));
  };
  std::vector<std::string> both;
  both.reserve(own.size() + errors.size());
  std::ranges::merge(own, errors, std::back_inserter(both), {}, stamp, stamp);
  if (both.size() > lines)
    both.erase(both.begin(), both.end() - static_cast<std::ptrdiff_t>(lines));
  return both;
}

std::vector<std::string> Instance::tail_of(Stream stream) const {
  if (stream == Stream::Output) return output_.tail();
  return errors_ ? errors_->log().tail() : std::vector<std::string>();
}

std::uint64_t Instance::recorded(Stream stream) const noexcept {
  if (stream == Stream::Output) return output_.recorded();
  return errors_ ? errors_->log().recorded() : 0;
}

std::uint64_t Instance::dropped_lines() const noexcept {
  return output_.dropped() + (errors_ ? errors_->log().dropped() : 0);
}

void Instance::clear_output() {
  output_.clear();
  if (errors_) errors_->log().clear();
}

void Instance::make_errors() {
  errors_.reset();
  core::OutputPolicy policy = spec_->output;
  // Started when the two were apart: somebody must read it all the same.
  if (!policy.errors && row_.error_inode != 0) policy.errors = policy.path;
  if (!policy.errors) return;
  errors_ = std::make_unique<ErrorOutput>(
      policy, [this](std::string_view line) { around_.host.on_line(*this, line); });
}

void Instance::flush_output() {
  const Instant now = std::chrono::steady_clock::now();
  output_.flush(now);
  if (errors_) errors_->log().flush(now);
}

}  // namespace recover::adapters::process
