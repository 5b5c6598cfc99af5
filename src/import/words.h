// Small pieces of text that every reader takes apart in the same way.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace recover::import {

std::string_view trimmed(std::string_view text);
std::string lower(std::string_view text);
std::vector<std::string_view> lines_of(std::string_view text);
// At blanks.
std::vector<std::string> split_blanks(std::string_view text);
std::vector<std::string> split_at(std::string_view text, char separator);

// The words of a command: quotes and backslashes as shells have them, nothing expanded. None: a
// quote is left open.
std::optional<std::vector<std::string>> command_words(std::string_view text);
// It needs a shell: pipes, redirections, variables, several commands.
bool needs_shell(std::string_view command);

std::optional<std::uint64_t> parse_number(std::string_view text);
// "SIGTERM", "TERM", "15" → "TERM" or the number.
std::string signal_name(std::string_view text);
// What a service may be called: letters, digits, `-`, `_`, `.`; anything else becomes `-`.
std::string service_name(std::string_view text);
// The last part of a path.
std::string_view file_name(std::string_view path);

}  // namespace recover::import
