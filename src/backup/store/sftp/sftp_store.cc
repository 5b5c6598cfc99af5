#include "backup/store/sftp/sftp_store.h"

#include <unistd.h>

#include <atomic>
#include <random>
#include <utility>

#include "backup/store/layout.h"
#include "backup/store/sftp/session.h"

namespace recover::backup::sftp {
namespace {

constexpr std::uint32_t kFileMode = 0400;

// Distinct among all who write to the server: a number of this process's own by chance, and a
// count.
std::string temporary_name(const std::string& path) {
  static const std::uint64_t process = [] {
    std::random_device entropy;
    return (std::uint64_t{entropy()} << 32U) | entropy();
  }();
  static std::atomic<std::uint64_t> counter{0};
  return path + "-tmp-" + std::to_string(process) + "-" + std::to_string(counter++);
}

std::string folder_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

// Adds what was tried on what.
template <class T>
Outcome<T> told(Outcome<T> result, const std::string& what) {
  if (!result) return fail(result.error().kind, what + ": " + result.error().message);
  return result;
}

}  // namespace

SftpStore::SftpStore(SftpOptions options)
    : options_(std::move(options)), bandwidth_(options_.bandwidth) {
  if (options_.command.empty()) options_.command = options_.location.command();
}

std::string SftpStore::path_of(std::string_view relative) const {
  return options_.location.path + "/" + std::string(relative);
}

// The one that is, or a new one. Whoever still uses a broken one keeps it until it is told so.
Outcome<std::shared_ptr<Connection>> SftpStore::connection() {
  const std::lock_guard lock(mutex_);
  if (connection_ && !connection_->is_broken()) return connection_;
  connection_.reset();
  auto opened = Connection::open(options_.command, options_.patience);
  if (!opened) {
    return fail(opened.error().kind, location() + ": " + opened.error().message);
  }
  connection_ = std::move(*opened);
  return connection_;
}

Outcome<void> SftpStore::prepare() {
  const auto open = connection();
  if (!open) return Unexpected(open.error());
  Session session(**open, bandwidth_);
  const std::string& root = options_.location.path;
  std::vector<std::string> folders = {root};
  for (const std::string& folder : all_folders()) folders.push_back(path_of(folder));
  if (auto made = session.make_folders(folders); !made) return told(made, location());
  session.sync_folder(path_of("data"));
  session.sync_folder(root);
  return {};
}

Outcome<Bytes> SftpStore::read(const FileName& name) {
  const auto open = connection();
  if (!open) return Unexpected(open.error());
  return told(
      Session(**open, bandwidth_).read_whole(path_of(relative_path(name)), bytes_max(name.kind)),
      "reading " + location() + " " + to_string(name));
}

Outcome<Bytes> SftpStore::read_part(const FileName& name, std::uint64_t offset,
                                    std::uint64_t length) {
  const auto open = connection();
  if (!open) return Unexpected(open.error());
  return told(Session(**open, bandwidth_).read(path_of(relative_path(name)), offset, length),
              "reading " + location() + " " + to_string(name));
}

Outcome<std::uint64_t> SftpStore::size(const FileName& name) {
  const auto open = connection();
  if (!open) return Unexpected(open.error());
  const std::string what = "looking at " + location() + " " + to_string(name);
  const auto found = told(Session(**open, bandwidth_).stat(path_of(relative_path(name))), what);
  if (!found) return Unexpected(found.error());
  if (!found->may_be_file()) return fail(FailureKind::Damaged, what + ": it is no file");
  return found->size.value_or(0);
}

Outcome<void> SftpStore::write(const FileName& name, View bytes) {
  const auto open = connection();
  if (!open) return Unexpected(open.error());
  Session session(**open, bandwidth_);
  const std::string path = path_of(relative_path(name));
  const std::string folder = folder_of(path);
  const std::string temporary = temporary_name(path);
  const std::string what = "writing " + location() + " " + to_string(name);
  // Told before the bytes are on their way.
  if (session.stat(path)) return fail(FailureKind::Exists, what + ": there is one already");
  auto written = session.write_new(temporary, kFileMode, bytes);
  if (!written && written.error().kind == FailureKind::NotFound) {
    if (auto made = session.make_folder(folder); !made) return told(made, what);
    written = session.write_new(temporary, kFileMode, bytes);
  }
  const bool filled = !written && written.error().kind == FailureKind::Io &&
                      !session.has_room(folder, bytes.size());
  if (written) written = session.rename(temporary, path);
  if (!written) {
    (void)session.remove(temporary);
    if (filled) return fail(FailureKind::Full, what + ": no space left on the server");
    return told(written, what);
  }
  session.sync_folder(folder);
  return {};
}

Outcome<void> SftpStore::remove(const FileName& name) {
  const auto open = connection();
  if (!open) return Unexpected(open.error());
  Session session(**open, bandwidth_);
  const std::string path = path_of(relative_path(name));
  if (auto removed = session.remove(path); !removed) {
    return told(removed, "removing " + location() + " " + to_string(name));
  }
  session.sync_folder(folder_of(path));
  return {};
}

Outcome<void> SftpStore::sweep() {
  const auto open = connection();
  if (!open) return Unexpected(open.error());
  Session session(**open, bandwidth_);
  std::vector<std::string> folders = {options_.location.path};
  for (const std::string& folder : all_folders()) folders.push_back(path_of(folder));
  const auto lists = told(session.list(folders), "sweeping " + location());
  if (!lists) return Unexpected(lists.error());
  for (std::size_t i = 0; i < folders.size(); ++i) {
    for (const Session::Entry& entry : (*lists)[i]) {
      if (!is_temporary(entry.name)) continue;
      auto removed = session.remove(folders[i] + "/" + entry.name);
      if (!removed && removed.error().kind != FailureKind::NotFound) {
        return told(removed, "sweeping " + location());
      }
    }
  }
  return {};
}

Outcome<std::vector<StoredFile>> SftpStore::list(FileKind kind) {
  const auto open = connection();
  if (!open) return Unexpected(open.error());
  std::vector<std::string> folders;
  for (const std::string& folder : folders_of(kind)) folders.push_back(path_of(folder));
  const auto lists = told(Session(**open, bandwidth_).list(folders), "listing " + location());
  if (!lists) return Unexpected(lists.error());
  std::vector<StoredFile> files;
  for (const std::vector<Session::Entry>& list : *lists) {
    for (const Session::Entry& entry : list) {
      const auto id = parse_digest(entry.name);
      if (!id || !entry.attributes.may_be_file()) continue;
      files.push_back({.id = *id,
                       .bytes = entry.attributes.size.value_or(0),
                       .written = entry.attributes.mtime});
    }
  }
  return files;
}

}  // namespace recover::backup::sftp
