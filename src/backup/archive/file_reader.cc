// The part of a walk that reads files: content into chunks, chunks into blobs.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "backup/archive/walk.h"

namespace recover::backup {
namespace {

// Room for one chunk of the largest size and for what is read ahead behind it.
constexpr std::size_t kReadAhead = std::size_t{1} << 20U;
constexpr std::size_t kBufferBytes = kChunkMax + kReadAhead;

Descriptor open_file(int folder, const std::string& name) {
  // O_NONBLOCK: a fifo that took the file's place meanwhile must not hold us.
  constexpr int kFlags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
  const int fd = ::openat(folder, name.c_str(), kFlags | O_NOATIME);
  if (fd >= 0 || errno != EPERM) return Descriptor(fd);
  return Descriptor(::openat(folder, name.c_str(), kFlags));  // Not ours: its atime will move.
}

bool was_touched(const struct stat& before, const struct stat& after) {
  return before.st_size != after.st_size || before.st_mtim.tv_sec != after.st_mtim.tv_sec ||
         before.st_mtim.tv_nsec != after.st_mtim.tv_nsec;
}

}  // namespace

std::optional<Node> Walk::read_target(const std::string& path, const std::string& name,
                                      std::optional<Node> earlier) {
  const std::filesystem::path real(path);
  OpenFolder folder;
  folder.path = real.parent_path().string();
  folder.slots.resize(1);
  folder.fd = Descriptor(::open(folder.path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  FileTask task{.slot = 0, .name = real.filename().string(), .earlier = std::move(earlier)};
  const auto info = folder.fd ? look_at(folder.fd.get(), task.name)
                              : Outcome<struct stat>(system_failure("opening", folder.path));
  if (!info) {
    report(path + ": " + info.error().message);
    return std::nullopt;
  }
  if (take_unchanged(folder, task, *info)) return std::move(folder.slots[0]);
  auto node = read_entry(folder, task, caller());
  if (node) node->name = name;
  return node;
}

// The node of the slot; none, and a problem, when it cannot be read.
std::optional<Node> Walk::read_entry(const OpenFolder& folder, const FileTask& task,
                                     unsigned thread) {
  if (is_stopped()) return std::nullopt;
  auto node = read_node(folder, task, thread);
  if (!node) {
    report(folder.path + "/" + task.name + ": " + node.error().message);
    return std::nullopt;
  }
  if (node->type == NodeType::File) {
    std::atomic<std::uint64_t>& count =
        task.earlier ? progress_.files_changed : progress_.files_new;
    count.fetch_add(1, std::memory_order_relaxed);
  }
  return std::move(*node);
}

Outcome<Node> Walk::read_node(const OpenFolder& folder, const FileTask& task, unsigned thread) {
  const auto info = look_at(folder.fd.get(), task.name);
  if (!info) return Unexpected(info.error());
  const NodeType type = type_of(info->st_mode);
  if (type == NodeType::File) return read_file(folder, task.name, thread);
  if (type == NodeType::Folder || type == NodeType::Other) {
    return fail(FailureKind::Io, "it became something else while it was backed up");
  }
  return node_of(folder.fd.get(), task.name, *info, owners_);
}

Outcome<Node> Walk::read_file(const OpenFolder& folder, const std::string& name, unsigned thread) {
  const Descriptor file = open_file(folder.fd.get(), name);
  struct stat before {};
  if (!file || ::fstat(file.get(), &before) != 0) return system_failure("opening", name);
  if (!S_ISREG(before.st_mode)) {
    return fail(FailureKind::Io, "it became something else while it was backed up");
  }
  auto node = node_of(folder.fd.get(), name, before, owners_);
  if (!node) return node;
  if (auto read = read_content(file.get(), name, *node, thread); !read) {
    return Unexpected(std::move(read.error()));
  }
  struct stat after {};
  if (::fstat(file.get(), &after) != 0 || was_touched(before, after)) {
    report(folder.path + "/" + name + ": it changed while it was read; what was read is kept");
  }
  return node;
}

Outcome<void> Walk::read_content(int fd, const std::string& path, Node& node, unsigned thread) {
  Bytes& buffer = workers_[thread].buffer;
  // A file that is as small as it was said to be is one chunk, one read and one more that finds the
  // end.
  const std::size_t wanted = node.size <= kChunkMin ? node.size + 1 : kBufferBytes;
  if (buffer.size() < wanted) buffer.resize(wanted);
  std::size_t have = 0;
  bool ended = false;
  node.size = 0;
  while (!ended || have > 0) {
    if (!ended) {
      const ssize_t got = read_up_to(fd, std::span(buffer).subspan(have));
      if (got < 0) return system_failure("reading", path);
      have += static_cast<std::size_t>(got);
      ended = have < buffer.size();
      // It grew past the small buffer.
      if (!ended && buffer.size() < kBufferBytes) {
        buffer.resize(kBufferBytes);
        continue;
      }
    }
    std::size_t used = 0;
    while (used < have && (ended || have - used >= kChunkMax)) {
      const View rest = View(buffer).subspan(used, have - used);
      const View chunk = rest.first(chunker_.cut(rest));
      node.content.push_back(store_chunk(chunk, thread));
      node.size += chunk.size();
      used += chunk.size();
    }
    progress_.bytes.fetch_add(used, std::memory_order_relaxed);
    std::copy(buffer.begin() + static_cast<std::ptrdiff_t>(used),
              buffer.begin() + static_cast<std::ptrdiff_t>(have), buffer.begin());
    have -= used;
    if (is_stopped()) return {};
  }
  return {};
}

Digest Walk::store_chunk(View chunk, unsigned thread) {
  const Digest id = sha256(chunk);
  if (saver_.claim({.id = id, .type = BlobType::Data})) return id;
  // The chunks of one large file keep several threads busy.
  if (chunk.size() >= kChunkMin && pool_.has_idle()) {
    pool_.add(TaskPool::Kind::File, [this, id, copy = Bytes(chunk.begin(), chunk.end())](
                                        unsigned other) { seal_chunk(id, copy, other); });
  } else {
    seal_chunk(id, chunk, thread);
  }
  return id;
}

void Walk::seal_chunk(const Digest& id, View chunk, unsigned thread) {
  if (is_stopped()) return;
  auto stored = saver_.store(workers_[thread].codec, BlobType::Data, id, chunk);
  if (!stored) stop_with(std::move(stored.error()));
}

}  // namespace recover::backup
