#include "journal/head_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <vector>

#include "journal/file.h"

namespace recover::journal {
namespace {

using ports::JournalError;

constexpr std::string_view kTitle = "recoverd journal head 1";
constexpr std::size_t kHeadBytesMax = 4'096;

std::string signed_part(const Link& link) {
  return std::string(kTitle) + "\nseq " + std::to_string(link.sequence) + "\nhash " +
         to_hex(view_of(link.hash)) + "\n";
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

// What follows `key ` on the line; empty when it is another line.
std::string_view value_of(std::string_view line, std::string_view key) {
  if (!line.starts_with(key) || line.size() <= key.size()) return {};
  return line.substr(key.size() + 1);
}

HeadNote parse(std::string_view text, const Cipher* cipher) {
  const HeadNote foreign{.link = {}, .genuine = false};
  const auto lines = lines_of(text);
  if (lines.size() != 4 || lines[0] != kTitle) return foreign;
  HeadNote note;
  const std::string_view number = value_of(lines[1], "seq");
  const auto parsed =
      std::from_chars(number.data(), number.data() + number.size(), note.link.sequence);
  const auto hash = from_hex(value_of(lines[2], "hash"));
  if (number.empty() || parsed.ptr != number.data() + number.size() || !hash) return foreign;
  note.link.hash = *hash;
  note.genuine = cipher == nullptr ||
                 value_of(lines[3], "mac") == to_hex(view_of(cipher->sign(signed_part(note.link))));
  return note;
}

}  // namespace

Result<void, JournalError> write_head(const std::string& path, const Link& link,
                                      const Cipher* cipher) {
  const std::string part = signed_part(link);
  const std::string text =
      part + "mac " + (cipher == nullptr ? std::string("-") : to_hex(view_of(cipher->sign(part)))) +
      "\n";
  const std::string temporary = path + ".new";
  {
    const Descriptor file(
        ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file) return Unexpected(system_error("open", temporary));
    const ssize_t written = ::write(file.get(), text.data(), text.size());
    if (written >= 0 && static_cast<std::size_t>(written) < text.size()) errno = ENOSPC;
    if (written != static_cast<ssize_t>(text.size())) {
      return Unexpected(system_error("write", temporary));
    }
    if (::fsync(file.get()) != 0) return Unexpected(system_error("fsync", temporary));
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    return Unexpected(system_error("rename", path));
  }
  return sync_folder(path);
}

Result<std::optional<HeadNote>, JournalError> read_head(const std::string& path,
                                                        const Cipher* cipher) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file && errno == ENOENT) return std::optional<HeadNote>();
  if (!file) return Unexpected(system_error("open", path));
  std::array<char, kHeadBytesMax> text{};
  const ssize_t length = ::read(file.get(), text.data(), text.size());
  if (length < 0) return Unexpected(system_error("read", path));
  return std::optional(parse({text.data(), static_cast<std::size_t>(length)}, cipher));
}

}  // namespace recover::journal
