#include "adapters/process/runtime_table.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include "adapters/process/descriptor.h"
#include "adapters/process/proc_file.h"

namespace recover::adapters::process {
namespace {

constexpr std::string_view kHeader = "recoverd-processes 1 ";
constexpr std::size_t kFields = 8;
constexpr mode_t kTableMode = 0600;
// Lines that are appended before the whole is written anew.
constexpr std::size_t kAppendedMin = 256;
constexpr std::size_t kAppendedPerInstance = 4;

template <class T>
bool read_number(std::string_view text, T& value) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end;
}

struct ParsedLine {
  RuntimeRow row;
  bool gone = false;
};

std::optional<ParsedLine> parse_line(std::string_view line) {
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
  const auto plus = fields[5].find('+');
  const std::string_view output = fields[5].substr(0, plus);
  const bool numbers =
      read_number(fields[1], row.instance) && read_number(fields[2], row.incarnation.pid) &&
      read_number(fields[3], row.incarnation.start_time) && read_number(output, row.output_inode) &&
      (plus == std::string_view::npos || read_number(fields[5].substr(plus + 1), row.error_inode));
  const bool gone = fields[6].find('x') != std::string_view::npos;
  // What never started has no pid.
  if (!numbers || row.service.empty() || (row.incarnation.pid <= 0 && !gone)) return std::nullopt;
  return ParsedLine{.row = std::move(row), .gone = gone};
}

std::string line_end(const RuntimeRow& row, bool gone) {
  std::string flags = std::string(row.ready ? "r" : "") + (row.stopping ? "s" : "") +
                      (row.completed ? "d" : "") + (gone ? "x" : "");
  if (flags.empty()) flags = "-";
  const std::string errors = row.error_inode == 0 ? "" : "+" + std::to_string(row.error_inode);
  return "\t" + row.token + "\t" + std::to_string(row.output_inode) + errors + "\t" + flags + "\t" +
         (row.cgroup.empty() ? "-" : row.cgroup) + "\n";
}

std::string line_of(const RuntimeRow& row, bool gone) {
  return row.service + "\t" + std::to_string(row.instance) + "\t" +
         std::to_string(row.incarnation.pid) + "\t" + std::to_string(row.incarnation.start_time) +
         line_end(row, gone);
}

bool write_whole(int fd, std::string_view text) {
  return ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

}  // namespace

RuntimeTable::RuntimeTable(std::string path, std::string boot_id)
    : path_(std::move(path)), boot_id_(std::move(boot_id)) {}

std::vector<RuntimeRow> RuntimeTable::load() const {
  const auto text = read_small_file(path_);
  return text ? parse(*text, boot_id_) : std::vector<RuntimeRow>();
}

Result<void, std::string> RuntimeTable::save(const std::vector<RuntimeRow>& rows) {
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path_).parent_path(), ignored);
  const std::string fresh = path_ + ".new";
  Descriptor file(
      ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, kTableMode));
  if (!file || !write_whole(file.get(), format(rows, boot_id_)) ||
      std::rename(fresh.c_str(), path_.c_str()) != 0) {
    return Unexpected(path_ + ": " + std::generic_category().message(errno));
  }
  file_ = std::move(file);
  appended_ = 0;
  return {};
}

bool RuntimeTable::append(const RuntimeRow& row, bool gone) {
  ++appended_;
  return file_ && write_whole(file_.get(), line_of(row, gone));
}

ProcessRecord RuntimeTable::record_of(const RuntimeRow& row) const {
  return {.fd = file_.get(),
          .before = row.service + "\t" + std::to_string(row.instance) + "\t",
          .after = line_end(row, false)};
}

bool RuntimeTable::is_long(std::size_t instances) const noexcept {
  return appended_ > kAppendedMin + kAppendedPerInstance * instances;
}

Descriptor RuntimeTable::in_memory(const std::vector<RuntimeRow>& rows) {
  Descriptor memory(::memfd_create("recoverd-processes", MFD_CLOEXEC));
  file_.reset();
  if (!memory || !write_whole(memory.get(), format(rows, boot_id_))) return Descriptor();
  // The same open file, so that what is appended here is behind what was written there.
  file_.reset(::fcntl(memory.get(), F_DUPFD_CLOEXEC, 3));
  return memory;
}

std::vector<RuntimeRow> RuntimeTable::load_memory(const Descriptor& memory) const {
  // By its name in /proc it is read from the start, wherever its position is.
  const auto text = read_small_file("/proc/self/fd/" + std::to_string(memory.get()));
  return text ? parse(*text, boot_id_) : std::vector<RuntimeRow>();
}

std::string RuntimeTable::format(const std::vector<RuntimeRow>& rows, std::string_view boot_id) {
  std::string text = std::string(kHeader) + std::string(boot_id) + "\n";
  for (const RuntimeRow& row : rows) text += line_of(row, false);
  return text;
}

std::vector<RuntimeRow> RuntimeTable::parse(std::string_view text, std::string_view boot_id) {
  std::vector<RuntimeRow> rows;
  const std::string header = std::string(kHeader) + std::string(boot_id) + "\n";
  if (!text.starts_with(header)) return rows;
  text.remove_prefix(header.size());
  std::map<std::pair<std::string, std::uint32_t>, RuntimeRow> latest;
  while (!text.empty()) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) break;  // Cut short.
    if (auto line = parse_line(text.substr(0, end))) {
      std::pair key(line->row.service, line->row.instance);
      if (line->gone) {
        latest.erase(key);
      } else if (latest.size() < kRuntimeRowsMax || latest.contains(key)) {
        latest.insert_or_assign(std::move(key), std::move(line->row));
      }
    }
    text.remove_prefix(end + 1);
  }
  for (auto& [key, row] : latest) rows.push_back(std::move(row));
  return rows;
}

}  // namespace recover::adapters::process
