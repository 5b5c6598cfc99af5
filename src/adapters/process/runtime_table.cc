#include "adapters/process/runtime_table.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <system_error>

#include "adapters/process/descriptor.h"
#include "adapters/process/proc_file.h"

namespace recover::adapters::process {
namespace {

constexpr std::string_view kHeader = "recoverd-processes 1 ";
constexpr std::size_t kFields = 8;
constexpr mode_t kTableMode = 0600;

template <class T>
bool read_number(std::string_view text, T& value) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end;
}

std::optional<RuntimeRow> parse_row(std::string_view line) {
  std::array<std::string_view, kFields> fields;
  for (std::size_t i = 0; i < kFields; ++i) {
    const auto tab = line.find('\t');
    if ((tab == std::string_view::npos) != (i + 1 == kFields)) return std::nullopt;
    fields[i] = line.substr(0, tab);
    line.remove_prefix(tab == std::string_view::npos ? line.size() : tab + 1);
  }
  RuntimeRow row;
  row.service = fields[0];
  row.token = fields[4];
  row.ready = fields[6].find('r') != std::string_view::npos;
  row.stopping = fields[6].find('s') != std::string_view::npos;
  row.completed = fields[6].find('d') != std::string_view::npos;
  if (fields[7] != "-") row.cgroup = fields[7];
  const bool numbers = read_number(fields[1], row.instance) &&
                       read_number(fields[2], row.incarnation.pid) &&
                       read_number(fields[3], row.incarnation.start_time) &&
                       read_number(fields[5], row.output_inode);
  if (!numbers || row.service.empty() || row.incarnation.pid <= 0) return std::nullopt;
  return row;
}

std::string flags_of(const RuntimeRow& row) {
  std::string flags =
      std::string(row.ready ? "r" : "") + (row.stopping ? "s" : "") + (row.completed ? "d" : "");
  return flags.empty() ? "-" : flags;
}

}  // namespace

RuntimeTable::RuntimeTable(std::string path, std::string boot_id)
    : path_(std::move(path)), boot_id_(std::move(boot_id)) {
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), ignored);
}

std::vector<RuntimeRow> RuntimeTable::load() const {
  const auto text = read_small_file(path_);
  return text ? parse(*text, boot_id_) : std::vector<RuntimeRow>();
}

Result<void, std::string> RuntimeTable::save(const std::vector<RuntimeRow>& rows) const {
  const std::string text = format(rows, boot_id_);
  const std::string fresh = path_ + ".new";
  const Descriptor file(
      ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kTableMode));
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      std::rename(fresh.c_str(), path_.c_str()) != 0) {
    return Unexpected(path_ + ": " + std::generic_category().message(errno));
  }
  return {};
}

Descriptor RuntimeTable::in_memory(const std::vector<RuntimeRow>& rows) const {
  const std::string text = format(rows, boot_id_);
  Descriptor memory(::memfd_create("recoverd-processes", MFD_CLOEXEC));
  const bool whole = memory && ::write(memory.get(), text.data(), text.size()) ==
                                   static_cast<ssize_t>(text.size());
  return whole ? std::move(memory) : Descriptor();
}

std::vector<RuntimeRow> RuntimeTable::load_memory(const Descriptor& memory) const {
  // By its name in /proc it is read from the start, wherever its position is.
  const auto text = read_small_file("/proc/self/fd/" + std::to_string(memory.get()));
  return text ? parse(*text, boot_id_) : std::vector<RuntimeRow>();
}

std::string RuntimeTable::format(const std::vector<RuntimeRow>& rows, std::string_view boot_id) {
  std::string text = std::string(kHeader) + std::string(boot_id) + "\n";
  for (const RuntimeRow& row : rows) {
    text += row.service + "\t" + std::to_string(row.instance) + "\t" +
            std::to_string(row.incarnation.pid) + "\t" +
            std::to_string(row.incarnation.start_time) + "\t" + row.token + "\t" +
            std::to_string(row.output_inode) + "\t" + flags_of(row) + "\t" +
            (row.cgroup.empty() ? "-" : row.cgroup) + "\n";
  }
  return text;
}

std::vector<RuntimeRow> RuntimeTable::parse(std::string_view text, std::string_view boot_id) {
  std::vector<RuntimeRow> rows;
  const std::string header = std::string(kHeader) + std::string(boot_id) + "\n";
  if (!text.starts_with(header)) return rows;
  text.remove_prefix(header.size());
  while (!text.empty() && rows.size() < kRuntimeRowsMax) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) break;  // Cut short.
    if (auto row = parse_row(text.substr(0, end))) rows.push_back(*std::move(row));
    text.remove_prefix(end + 1);
  }
  return rows;
}

}  // namespace recover::adapters::process
