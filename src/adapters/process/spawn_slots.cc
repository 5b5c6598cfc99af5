#include "adapters/process/spawn_slots.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

namespace recover::adapters::process {
namespace {

constexpr int kLeast = 3;   // Not one of those a child overwrites.
constexpr int kMost = 128;  // With so many below there is nothing to be gained.

struct Numbers {
  int input = -1;
  int output = -1;
  int record = -1;

  bool usable() const noexcept {
    const auto [least, most] = std::minmax({input, output, record});
    return least >= kLeast && most < kMost;
  }
};

int another(int fd) noexcept {
  return ::fcntl(fd, F_DUPFD_CLOEXEC, kLeast);
}

Numbers take() noexcept {
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const Numbers taken{.input = another(null), .output = another(null), .record = another(null)};
  if (null >= 0) ::close(null);
  return taken;
}

const Numbers& slots() noexcept {
  static const Numbers kNumbers = take();
  return kNumbers;
}

}  // namespace

void reserve_spawn_slots() noexcept {
  slots();
}

SpawnSlots::SpawnSlots(int output, int record) noexcept : record_(record) {
  const Numbers& at = slots();
  if (!at.usable()) return;
  filled_ = ::dup3(output, at.output, O_CLOEXEC) >= 0;
  if (!filled_ || record < 0) return;
  record_ = at.record;
  filled_ = ::dup3(record, at.record, O_CLOEXEC) >= 0;
}

// Or a service's output would seem to have a writer still.
SpawnSlots::~SpawnSlots() {
  const Numbers& at = slots();
  if (!at.usable()) return;
  ::dup3(at.input, at.output, O_CLOEXEC);
  if (record_ == at.record) ::dup3(at.input, at.record, O_CLOEXEC);
}

int SpawnSlots::input() const noexcept {
  return slots().input;
}
int SpawnSlots::output() const noexcept {
  return slots().output;
}
int SpawnSlots::end() const noexcept {
  const Numbers& at = slots();
  return std::max({at.input, at.output, at.record}) + 1;
}

}  // namespace recover::adapters::process
