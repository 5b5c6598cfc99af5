// A few low descriptors kept for what a new process is given, so that the kernel need not copy our
// whole table for it: a thousand services mean two thousand descriptors to copy and to close again.
//
// Loop thread; lives as long as the program. Invariant: between two spawns no slot holds anything
// but /dev/null.
#pragma once

namespace recover::adapters::process {

// Takes them. Call before many descriptors are open: high ones are of no use. Calling again does
// nothing.
void reserve_spawn_slots() noexcept;

// Of one spawn: what it is given, in the slots. Borrowed: nothing it was made of is closed.
class SpawnSlots {
 public:
  // `record` may be -1.
  SpawnSlots(int output, int record) noexcept;
  ~SpawnSlots();
  SpawnSlots(const SpawnSlots&) = delete;
  SpawnSlots& operator=(const SpawnSlots&) = delete;

  // False: there are none, and none of the following may be used.
  explicit operator bool() const noexcept { return filled_; }
  int input() const noexcept;
  int output() const noexcept;
  int record() const noexcept { return record_; }
  // Every slot is below, and few others are.
  int end() const noexcept;

 private:
  bool filled_ = false;
  int record_ = -1;
};

}  // namespace recover::adapters::process
