// What is at the other end of stdout: its width, and whether colour and progress make sense there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace recover::apps {

struct Terminal {
  static constexpr std::size_t kUnlimited = 10'000;

  bool tty = false;
  bool colour = false;
  std::size_t width = kUnlimited;  // Columns. COLUMNS, else the terminal's, else unlimited.

  // Reads the environment (NO_COLOR, COLUMNS, TERM) and asks the terminal. Once, in main().
  static Terminal of_stdout(bool no_colour);
};

// Red for what needs somebody, yellow for what is under way, green for what is well.
enum class Tone : std::uint8_t { Plain, Good, Busy, Bad, Dim, Strong };

// The tone of any published state, verdict, severity or level: "failed", "running", "refuse", …
Tone tone_of(std::string_view state);

// With the escape codes when the terminal has colour.
std::string painted(const Terminal& terminal, Tone tone, std::string_view text);

// Columns a UTF-8 text takes: wide characters two, combining marks none.
std::size_t columns_of(std::string_view text);
// At most so many columns, with "…" where something was cut.
std::string cut(std::string_view text, std::size_t columns);
// Control characters (escape sequences of captured output, too) and what is no UTF-8 become '?'.
std::string printable(std::string_view text);
// Lines of at most `columns`, broken at spaces.
std::string wrapped(std::string_view text, std::size_t columns, std::size_t indent);

}  // namespace recover::apps
