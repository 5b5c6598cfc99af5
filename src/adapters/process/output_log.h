// What an instance prints: split into lines, stamped, written to a rotated file, the last kept in
// memory.
//
// Never holds the writer up: beyond the rate, or when the file cannot be written, lines are dropped
// and counted. Writes to a plain file with one name only, never by way of a link. Reads no
// descriptor itself. Loop thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <recover/time.h>

#include "adapters/process/descriptor.h"
#include "core/policy.h"

namespace recover::adapters::process {

inline constexpr std::size_t kTailLinesMax = 200;
inline constexpr std::size_t kLineMax = 4096;  // Bytes; longer lines are cut into several.

class OutputLog {
 public:
  // `on_line` gets each line as printed, without a stamp.
  OutputLog(core::OutputPolicy policy, std::function<void(std::string_view)> on_line);

  void feed(std::string_view bytes, Instant now);
  // The last line may lack its end.
  void flush(Instant now);

  // Oldest first, at most `lines`; the latest.
  std::vector<std::string> tail(std::size_t lines = kTailLinesMax) const;
  // Bytes recorded since the start or clear(), each line's end included; tail() are the last.
  std::uint64_t recorded() const noexcept { return recorded_; }
  // Forgets what was kept and empties the file; older, rotated files stay.
  void clear();
  std::uint64_t dropped() const noexcept { return dropped_; }  // Lines, since the start.

 private:
  void flush_line(Instant now);
  void line(std::string_view text, Instant now);
  bool within_rate(std::size_t size, Instant now);
  void note_dropped();
  void record(std::string_view text);
  void append(std::string_view stamped);
  void keep(std::string stamped);
  void open();
  void rotate();

  core::OutputPolicy policy_;
  std::function<void(std::string_view)> on_line_;
  std::string partial_;
  std::vector<std::string> tail_;  // A ring once it is full.
  std::size_t oldest_ = 0;
  Descriptor file_;
  std::string untold_;  // Why the file is not written, until the next line.
  bool told_ = false;
  std::uint64_t size_ = 0;    // Of the file.
  std::uint64_t budget_ = 0;  // Bytes that may still be written.
  Instant budget_at_;
  std::uint64_t recorded_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t dropped_unsaid_ = 0;
};

// "2026-03-01T12:00:00.123Z", now.
std::string wall_stamp();

}  // namespace recover::adapters::process
