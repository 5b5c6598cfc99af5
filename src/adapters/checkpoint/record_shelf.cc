#include "adapters/checkpoint/record_shelf.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <ctime>
#include <map>
#include <utility>

namespace recover::adapters::checkpoint {
namespace {

constexpr std::string_view kManifestSuffix = ".json";

CheckpointError error(CheckpointFault fault, std::string message) {
  return {.fault = fault, .message = std::move(message)};
}

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '@' || c == '.';
}

// A file name for any text: no slash, no dot in front, reversible.
std::string escaped(std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (is_plain(c) && !(out.empty() && c == '.')) {
      out.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out.push_back('%');
      out.push_back(kDigits[byte >> 4U]);
      out.push_back(kDigits[byte & 0xfU]);
    }
  }
  return out;
}

std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned byte = 0;
    const char* const digits = text.data() + i + 1;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      out.push_back(static_cast<char>(byte));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

// The names in a folder; none if there is no such folder.
Result<std::vector<std::string>, CheckpointError> names_if_any(const std::string& path) {
  const Descriptor folder = open_folder(path);
  if (!folder && errno == ENOENT) return std::vector<std::string>();
  if (!folder) return Unexpected(io_error("open", path));
  return names_in(folder.get(), path);
}

std::optional<std::string> id_in(const std::string& file_name) {
  if (!file_name.ends_with(kManifestSuffix)) return std::nullopt;
  return file_name.substr(0, file_name.size() - kManifestSuffix.size());
}

// Gives the file the time of now, to the nanosecond: the kernel's own stamp only moves every few
// milliseconds, and times order checkpoints.
bool stamp(const std::string& path) {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  const timespec times[2] = {now, now};
  return ::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0;
}

}  // namespace

Done check_name(std::string_view name, std::string_view what) {
  if (!name.empty() && name.size() <= kNameBytesMax) return {};
  return Unexpected(error(CheckpointFault::Refused,
                          "a " + std::string(what) + " has 1 to " + std::to_string(kNameBytesMax) +
                              " bytes: " + std::string(name.substr(0, kNameBytesMax))));
}

using Listed = RecordShelf::Listed;

std::string RecordShelf::folder_of(std::string_view service) const {
  return root_ + "/services/" + escaped(service);
}

std::string RecordShelf::record_path(std::string_view service, const std::string& id) const {
  return folder_of(service) + "/" + id + std::string(kManifestSuffix);
}

std::optional<CheckpointRecord> RecordShelf::newest(std::string_view service) const {
  const auto all = listed(service);
  if (!all) return std::nullopt;
  for (const Listed& one : *all) {
    if (auto record = load(service, one.id)) return std::move(*record);
  }
  return std::nullopt;
}

Done RecordShelf::point(std::string_view service, std::string_view name,
                        const std::string& id) const {
  const std::string path = folder_of(service) + "/names/" + escaped(name);
  if (const auto now = read_file(path); now && *now == id) return {};
  return replace_file(path, id);
}

Result<std::string, CheckpointError> RecordShelf::resolve(std::string_view service,
                                                          std::string_view checkpoint) const {
  const auto all = listed(service);
  if (!all) return Unexpected(all.error());
  std::vector<std::string> found;
  for (const Listed& one : *all) {
    const bool named = std::find(one.names.begin(), one.names.end(), checkpoint) != one.names.end();
    if (named || one.id == checkpoint) return one.id;
    if (checkpoint.size() >= kIdPrefixMin && one.id.starts_with(checkpoint))
      found.push_back(one.id);
  }
  if (found.size() == 1) return found.front();
  return Unexpected(
      error(CheckpointFault::NotFound,
            "service " + std::string(service) + " has no checkpoint " + std::string(checkpoint)));
}

Result<CheckpointRecord, CheckpointError> RecordShelf::load(std::string_view service,
                                                            const std::string& id) const {
  const std::string path = record_path(service, id);
  const auto text = read_file(path);
  if (!text) return Unexpected(text.error());
  return decode(*text, path);
}

// Newest first.
Result<std::vector<Listed>, CheckpointError> RecordShelf::listed(std::string_view service) const {
  const std::string folder = folder_of(service);
  const auto files = names_if_any(folder);
  if (!files) return Unexpected(files.error());
  const auto names = names_if_any(folder + "/names");
  if (!names) return Unexpected(names.error());
  std::multimap<std::string, std::string> names_of;
  for (const std::string& name : *names) {
    if (name.starts_with('.')) continue;  // Left by a crash: no escaped name has a dot in front.
    if (const auto id = read_file(folder + "/names/" + name)) names_of.emplace(*id, name);
  }
  std::vector<Listed> all;
  for (const std::string& file : *files) {
    const auto id = id_in(file);
    struct stat status {};
    if (!id || file.starts_with('.') || ::stat((folder + "/" + file).c_str(), &status) != 0) {
      continue;
    }
    Listed one{.id = *id, .names = {}, .taken_ns = 0};
    one.taken_ns = std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
    const auto [from, to] = names_of.equal_range(*id);
    for (auto name = from; name != to; ++name) one.names.push_back(unescaped(name->second));
    all.push_back(std::move(one));
  }
  std::stable_sort(all.begin(), all.end(),
                   [](const Listed& a, const Listed& b) { return a.taken_ns > b.taken_ns; });
  return all;
}

// The rename is what makes the checkpoint be there.
Done RecordShelf::put(const CheckpointRecord& record) const {
  const std::string path = record_path(record.info.service, record.info.id);
  const std::string text = encode(record);
  if (const auto now = read_file(path); !now || *now != text) {
    Done done = make_folders(folder_of(record.info.service) + "/names");
    if (done) done = replace_file(path, text);
    if (!done) return done;
  }
  stamp(path);  // Without it the time is that of the kernel's last tick: good enough to go on with.
  return {};
}

// Names first: a name never points at nothing.
Done RecordShelf::remove(std::string_view service, const Listed& checkpoint) const {
  const std::string folder = folder_of(service);
  for (const std::string& name : checkpoint.names) {
    ::unlink((folder + "/names/" + escaped(name)).c_str());
  }
  const std::string path = record_path(service, checkpoint.id);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return Unexpected(io_error("remove", path));
  return sync_folder(folder);
}

Result<std::vector<std::string>, CheckpointError> RecordShelf::services() const {
  auto names = names_if_any(root_ + "/services");
  if (!names) return names;
  for (std::string& name : *names) name = unescaped(name);
  return names;
}

}  // namespace recover::adapters::checkpoint
