// Looks for failure patterns in what services print and in the texts of what failed.
//
// All patterns are matched at once, in time linear in the text (RE2::Set). A flood of matching
// lines becomes one event a second for each pattern and service; what counts is the core's verdict.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "ports/event_source.h"

namespace recover::adapters::pattern {

inline constexpr std::size_t kLineMax = 4'096;  // Bytes of a line that are looked at, and told.
// Between two events of one pattern and service; less where its cooldown is less.
inline constexpr Duration kPause = std::chrono::seconds{1};

// Loop thread.
class PatternWatch final : public ports::EventSource {
 public:
  PatternWatch(ports::Sink sink, std::function<Instant()> now);
  ~PatternWatch() override;

  void watch(const core::Policy& policy) override;
  void look(core::ServiceIndex service) override;

  // A line of output, or an error's text of several lines; of nobody's: none.
  void read(std::optional<core::ServiceIndex> service, std::string_view text);

 private:
  class Matcher;

  void read_line(std::optional<core::ServiceIndex> service, std::string_view line);

  ports::Sink sink_;
  std::function<Instant()> now_;
  std::unique_ptr<Matcher> matcher_;
};

}  // namespace recover::adapters::pattern
