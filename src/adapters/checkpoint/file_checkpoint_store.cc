#include "adapters/checkpoint/file_checkpoint_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <ctime>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "adapters/checkpoint/capture.h"
#include "adapters/checkpoint/manifest.h"
#include "adapters/checkpoint/restore.h"

namespace recover::adapters::checkpoint {
namespace {

using ports::CheckpointContents;
using ports::CheckpointInfo;
using ports::PruneRequest;
using ports::RestoreReport;
using ports::RestoreRequest;
using ports::TakenCheckpoint;
using ports::TakeRequest;

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

Done check_name(std::string_view name, std::string_view what) {
  if (!name.empty() && name.size() <= kNameBytesMax) return {};
  return Unexpected(error(CheckpointFault::Refused,
                          "a " + std::string(what) + " has 1 to " + std::to_string(kNameBytesMax) +
                              " bytes: " + std::string(name.substr(0, kNameBytesMax))));
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

std::int64_t wall_now() {
  return std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch())
      .count();
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

// A manifest's file, without its content.
struct FileCheckpointStore::Listed {
  std::string id;
  std::vector<std::string> names;
  std::int64_t taken_ns = 0;
};

Result<std::unique_ptr<FileCheckpointStore>, CheckpointError> FileCheckpointStore::open(
    const std::string& root) {
  std::unique_ptr<FileCheckpointStore> store(new FileCheckpointStore(root));
  Done done = store->objects_.open();
  if (done) done = make_folders(root + "/services");
  if (!done) return Unexpected(std::move(done).error());
  return store;
}

std::string FileCheckpointStore::folder_of(std::string_view service) const {
  return root_ + "/services/" + escaped(service);
}

Result<TakenCheckpoint, CheckpointError> FileCheckpointStore::take(const TakeRequest& request) {
  const std::shared_lock lock(pruning_);
  Done fits = check_name(request.service, "service");
  if (fits && !request.name.empty()) fits = check_name(request.name, "checkpoint name");
  if (!fits) return Unexpected(std::move(fits).error());
  auto paths = normal_paths(request.paths);
  if (!paths) return Unexpected(std::move(paths).error());
  auto captured = capture(*paths, objects_, request.limits);
  if (!captured) return Unexpected(std::move(captured).error());

  CheckpointContents contents;
  contents.info.service = request.service;
  contents.info.paths = std::move(*paths);
  contents.info.facts = request.facts;
  contents.info.wall_ns = wall_now();
  contents.files = std::move(captured->files);
  contents.not_held = std::move(captured->not_held);
  contents.info.id = id_of(contents);
  TakenCheckpoint taken{.id = contents.info.id, .bytes_stored = captured->bytes_stored};
  for (const ports::CheckpointFile& file : contents.files) {
    taken.files += file.kind == ports::FileKind::Regular ? 1 : 0;
    taken.bytes += file.size;
  }
  const auto is_new = keep(contents);
  if (!is_new) return Unexpected(is_new.error());
  taken.new_state = *is_new;
  Done done;
  if (!request.name.empty()) done = point(request.service, request.name, taken.id);
  if (!done) return Unexpected(std::move(done).error());
  return taken;
}

// The manifest's rename is what makes the checkpoint be there. The one that is stays, unless it is
// damaged; its time says that the state was seen again.
Result<bool, CheckpointError> FileCheckpointStore::keep(const CheckpointContents& contents) const {
  const std::string folder = folder_of(contents.info.service);
  const std::string path = folder + "/" + contents.info.id + std::string(kManifestSuffix);
  const bool held = load(contents.info.service, contents.info.id).has_value();
  if (held && stamp(path)) return false;
  Done done = make_folders(folder + "/names");
  if (done) done = replace_file(path, encode(contents));
  if (!done) return Unexpected(std::move(done).error());
  stamp(path);  // Without it the time is that of the kernel's last tick: good enough to go on with.
  return true;
}

Done FileCheckpointStore::point(std::string_view service, std::string_view name,
                                const std::string& id) const {
  return replace_file(folder_of(service) + "/names/" + escaped(name), id);
}

Result<std::string, CheckpointError> FileCheckpointStore::resolve(
    std::string_view service, std::string_view checkpoint) const {
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

Result<CheckpointContents, CheckpointError> FileCheckpointStore::load(std::string_view service,
                                                                      const std::string& id) const {
  const std::string path = folder_of(service) + "/" + id + std::string(kManifestSuffix);
  const auto text = read_file(path);
  if (!text) return Unexpected(text.error());
  return decode(*text, path);
}

// Newest first.
Result<std::vector<FileCheckpointStore::Listed>, CheckpointError> FileCheckpointStore::listed(
    std::string_view service) const {
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
    if (!id || ::stat((folder + "/" + file).c_str(), &status) != 0) continue;
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

Result<void, CheckpointError> FileCheckpointStore::name(std::string_view service,
                                                        std::string_view checkpoint,
                                                        std::string_view name) {
  const std::shared_lock lock(pruning_);
  if (Done fits = check_name(name, "checkpoint name"); !fits) return fits;
  const auto id = resolve(service, checkpoint);
  if (!id) return Unexpected(id.error());
  return point(service, name, *id);
}

Result<std::vector<CheckpointInfo>, CheckpointError> FileCheckpointStore::list(
    std::string_view service) {
  const std::shared_lock lock(pruning_);
  const auto all = listed(service);
  if (!all) return Unexpected(all.error());
  std::vector<CheckpointInfo> infos;
  for (const Listed& one : *all) {
    auto contents = load(service, one.id);
    if (!contents) continue;
    contents->info.names = one.names;
    infos.push_back(std::move(contents->info));
  }
  return infos;
}

Result<CheckpointContents, CheckpointError> FileCheckpointStore::show(std::string_view service,
                                                                      std::string_view checkpoint) {
  const std::shared_lock lock(pruning_);
  const auto id = resolve(service, checkpoint);
  if (!id) return Unexpected(id.error());
  auto contents = load(service, *id);
  if (!contents) return contents;
  const auto all = listed(service);
  if (!all) return Unexpected(all.error());
  for (const Listed& one : *all) {
    if (one.id == *id) contents->info.names = one.names;
  }
  return contents;
}

Result<RestoreReport, CheckpointError> FileCheckpointStore::restore(const RestoreRequest& request) {
  const std::shared_lock lock(pruning_);
  const auto id = resolve(request.service, request.checkpoint);
  if (!id) return Unexpected(id.error());
  const auto contents = load(request.service, *id);
  if (!contents) return Unexpected(contents.error());
  return checkpoint::restore(*contents, objects_, request);
}

Result<std::vector<std::string>, CheckpointError> FileCheckpointStore::prune(
    const PruneRequest& request) {
  const std::unique_lock lock(pruning_);
  const auto all = listed(request.service);
  if (!all) return Unexpected(all.error());
  const auto in_use = [&request](const std::string& word) {
    return std::find(request.in_use.begin(), request.in_use.end(), word) != request.in_use.end();
  };
  const auto named_use = [&in_use](const std::string& name) {
    return name == ports::kLastGood || name == ports::kLastGoodStarted || in_use(name);
  };
  const auto lasting = [](const std::string& name) {
    return !std::string_view(name).starts_with(kPassingPrefix);
  };
  std::vector<std::string> removed;
  std::size_t seen = 0;
  std::size_t named = 0;
  for (const Listed& one : *all) {
    const bool recent = seen++ < request.keep;
    if (recent || in_use(one.id) || std::ranges::any_of(one.names, named_use)) continue;
    if (std::ranges::any_of(one.names, lasting) && ++named <= kNamedKeptMax) continue;
    if (auto done = forget(request.service, one); !done) return Unexpected(std::move(done).error());
    removed.push_back(one.id);
  }
  if (!removed.empty()) {
    if (auto done = sweep(); !done) return Unexpected(std::move(done).error());
  }
  return removed;
}

// Names first: a name never points at nothing.
Done FileCheckpointStore::forget(std::string_view service, const Listed& checkpoint) const {
  const std::string folder = folder_of(service);
  for (const std::string& name : checkpoint.names) {
    ::unlink((folder + "/names/" + escaped(name)).c_str());
  }
  const std::string path = folder + "/" + checkpoint.id + std::string(kManifestSuffix);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return Unexpected(io_error("remove", path));
  // Before any object of it goes.
  return sync_folder(folder);
}

// Adds the objects of every manifest of a service; false: one of them cannot be understood.
Result<bool, CheckpointError> FileCheckpointStore::add_wanted(const std::string& folder,
                                                              std::set<std::string>& wanted) const {
  const auto files = names_if_any(folder);
  if (!files) return Unexpected(files.error());
  for (const std::string& file : *files) {
    if (!id_in(file)) continue;
    const auto text = read_file(folder + "/" + file);
    if (!text) return Unexpected(text.error());
    const auto contents = decode(*text, folder + "/" + file);
    if (!contents) return false;
    for (const ports::CheckpointFile& held : contents->files) wanted.insert(held.sha256);
  }
  return true;
}

// While any manifest cannot be read, nobody knows what it needs: nothing goes.
Done FileCheckpointStore::sweep() const {
  std::set<std::string> wanted;
  const auto services = names_if_any(root_ + "/services");
  if (!services) return Unexpected(services.error());
  for (const std::string& service : *services) {
    const auto added = add_wanted(root_ + "/services/" + service, wanted);
    if (!added) return Unexpected(added.error());
    if (!*added) return {};
  }
  return objects_.sweep(wanted);
}

}  // namespace recover::adapters::checkpoint
