#include "apps/recoverd_backup/load.h"

#include <boost/json.hpp>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iterator>
#include <utility>

namespace recover::apps {
namespace {

using namespace std::chrono_literals;
using backup::Bytes;
using backup::FileKind;
using backup::FileName;
using backup::Outcome;

constexpr auto kLookEvery = 1s;

class StoreBehindDoor final : public backup::Store {
 public:
  StoreBehindDoor(std::unique_ptr<backup::Store> inner, Door& door)
      : inner_(std::move(inner)), door_(door) {}

  std::string location() const override { return inner_->location(); }
  Outcome<void> prepare() override { return inner_->prepare(); }
  Outcome<Bytes> read(const FileName& name) override {
    wait(name);
    return inner_->read(name);
  }
  Outcome<Bytes> read_part(const FileName& name, std::uint64_t offset,
                           std::uint64_t length) override {
    wait(name);
    return inner_->read_part(name, offset, length);
  }
  Outcome<std::uint64_t> size(const FileName& name) override { return inner_->size(name); }
  Outcome<void> write(const FileName& name, backup::View bytes) override {
    wait(name);
    return inner_->write(name, bytes);
  }
  Outcome<void> remove(const FileName& name) override { return inner_->remove(name); }
  Outcome<void> sweep() override { return inner_->sweep(); }
  bool distrust(const FileName& name) override { return inner_->distrust(name); }
  bool shows_at_once() const override { return inner_->shows_at_once(); }
  void keep_reserve() override { inner_->keep_reserve(); }
  void free_reserve() override { inner_->free_reserve(); }
  Outcome<std::vector<backup::StoredFile>> list(FileKind kind) override {
    return inner_->list(kind);
  }

 private:
  void wait(const FileName& name) {
    if (name.kind == FileKind::Pack) door_.pass();
  }

  std::unique_ptr<backup::Store> inner_;
  Door& door_;
};

std::string percent(double share) {
  return std::to_string(std::lround(share * 100)) + " %";
}

}  // namespace

void step_back(const JobLoad& load) {
  constexpr int kOwnProcess = 1;  // IOPRIO_WHO_PROCESS
  constexpr int kClassShift = 13;
  static_cast<void>(::setpriority(PRIO_PROCESS, 0, load.nice));
  static_cast<void>(
      ::syscall(SYS_ioprio_set, kOwnProcess, 0, load.io_class << kClassShift | load.io_priority));
}

std::optional<double> pressure_in(const std::string& text) {
  constexpr std::string_view kBefore = "some avg10=";
  const auto at = text.find(kBefore);
  if (at == std::string::npos) return std::nullopt;
  double value = 0;
  const char* const from = text.data() + at + kBefore.size();
  if (std::from_chars(from, text.data() + text.size(), value).ec != std::errc()) {
    return std::nullopt;
  }
  return value / 100;
}

std::string read_pressure(const std::string& name) {
  std::ifstream in("/proc/pressure/" + name);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::string Door::look() const {
  const std::pair<const char*, std::optional<double>> levels[] = {
      {"cpu", load_.pause_on.cpu}, {"memory", load_.pause_on.memory}, {"io", load_.pause_on.io}};
  for (const auto& [name, level] : levels) {
    if (!level) continue;
    const auto now = pressure_in(read_(name));
    if (!now || *now < *level) continue;
    return std::string(name) + ": " + percent(*now) + " of the time something waited, from " +
           percent(*level);
  }
  return {};
}

void Door::pass() {
  if (!load_.pause_on.any()) return;
  std::unique_lock lock(mutex_);
  while (!stop_.stop_requested()) {
    const auto now = Clock::now();
    // Only one of those who wait looks, and counts; the others see what it saw.
    if (looked_ == Clock::time_point::min() || now - looked_ >= kLookEvery) {
      const auto since =
          looked_ == Clock::time_point::min() ? Clock::duration::zero() : now - looked_;
      if (!why_.empty()) paused_ += std::chrono::duration_cast<std::chrono::milliseconds>(since);
      looked_ = now;
      why_ = paused_ < load_.pause_max ? look() : std::string();
    }
    if (why_.empty()) return;
    changed_.wait_until(lock, stop_, looked_ + kLookEvery, [] { return false; });
  }
}

std::string Door::why_closed() const {
  const std::lock_guard lock(mutex_);
  return why_;
}

std::chrono::milliseconds Door::paused() const {
  const std::lock_guard lock(mutex_);
  return paused_;
}

boost::json::object with_pause(const Door& door, boost::json::object message) {
  const std::string why = door.why_closed();
  if (!why.empty()) message["paused"] = why;
  const double seconds = std::chrono::duration<double>(door.paused()).count();
  if (seconds > 0) message["paused_seconds"] = seconds;
  return message;
}

std::unique_ptr<backup::Store> behind_door(std::unique_ptr<backup::Store> store, Door& door) {
  return std::make_unique<StoreBehindDoor>(std::move(store), door);
}

}  // namespace recover::apps
