// The part of a walk that reads files: content into chunks, chunks into blobs.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "backup/archive/block_files.h"
#include "backup/archive/walk.h"

namespace recover::backup {
namespace {

// Read at a time; the buffer holds a chunk of the largest size and so much.
constexpr std::size_t kReadBytes = std::size_t{1} << 20U;
constexpr std::size_t kBufferBytesMax = kChunkMax + kReadBytes;
constexpr std::size_t kBufferBytesKept = 4 * kReadBytes;
// Of chunks that were read and wait for a thread that seals them.
constexpr std::size_t kSealedAheadMax = kReadBytes;

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

std::string Walk::read_target(const std::string& path, const std::string& name,
                              const std::optional<Node>& earlier) {
  const std::filesystem::path real(path);
  OpenFolder folder;
  folder.path = real.parent_path().string();
  folder.fd = Descriptor(::open(folder.path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const FileTask task{.slot = 0,
                      .name = real.filename().string(),
                      .is_file = false,
                      .is_known = earlier.has_value()};
  const auto info = folder.fd ? look_at(folder.fd.get(), task.name)
                              : Outcome<struct stat>(system_failure("opening", folder.path));
  if (!info) {
    report(path, info.error().message);
    return {};
  }
  if (earlier) {
    const Earlier known{.node = *earlier, .text = {}};
    if (is_as_it_was(known, *info)) return text_where_it_lies(known, *info);
  }
  return read_entry(folder, task, caller(), name);
}

// The node of the slot as text; empty, and a problem, when it cannot be read.
std::string Walk::read_entry(const OpenFolder& folder, const FileTask& task, unsigned thread,
                             const std::string& name) {
  if (is_stopped()) return {};
  auto node = read_node(folder, task, thread);
  if (is_stopped()) return {};  // It may have been broken off in its middle.
  if (!node) {
    report(folder.path + "/" + task.name, node.error().message);
    return {};
  }
  if (node->type == NodeType::File) {
    std::atomic<std::uint64_t>& count =
        task.is_known ? progress_.files_changed : progress_.files_new;
    count.fetch_add(1, std::memory_order_relaxed);
  }
  if (node->links > 1 && options_.on_linked) {
    options_.on_linked((folder.path == "/" ? "" : folder.path) + "/" + task.name, *node);
  }
  node->name = name;
  std::string text;
  append_node(text, *node);
  return text;
}

Outcome<Node> Walk::read_node(const OpenFolder& folder, const FileTask& task, unsigned thread) {
  if (task.is_file) return read_file(folder, task.name, thread);
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
  Node node = node_of_open(file.get(), name, before, owners_);
  const std::string path = node.size > kChunkMin ? folder.path + "/" + name : name;
  if (auto read = read_content(file.get(), path, node, thread); !read) {
    return Unexpected(std::move(read.error()));
  }
  struct stat after {};
  if (::fstat(file.get(), &after) != 0 || was_touched(before, after)) {
    report(folder.path + "/" + name, "it changed while it was read; what was read is kept");
  }
  return node;
}

Outcome<void> Walk::read_content(int fd, const std::string& path, Node& node, unsigned thread) {
  ReadBuffer& buffer = workers_[thread].buffer;
  const std::uint64_t expected = std::exchange(node.size, 0);
  // A file that is as small as it was said to be is one chunk, one read and one more that finds the
  // end.
  if (expected > kChunkMin) {
    give_away_rest(thread);
    return read_chunks(fd, path, node, 0, thread);
  }
  const auto wanted = static_cast<std::size_t>(expected) + 1;
  buffer.grow(wanted);
  const ssize_t got = read_up_to(fd, buffer.bytes().first(wanted));
  if (got < 0) return system_failure("reading", path);
  const auto have = static_cast<std::size_t>(got);
  if (have == wanted) return read_chunks(fd, path, node, have, thread);
  if (have > 0) take_chunk(buffer.bytes().first(have), node, thread);
  return {};
}

void Walk::take_chunk(View chunk, Node& node, unsigned thread) {
  node.content.push_back(store_chunk(chunk, thread));
  node.size += chunk.size();
  progress_.bytes.fetch_add(chunk.size(), std::memory_order_relaxed);
}

// The first `have` bytes are in the buffer already.
Outcome<void> Walk::read_chunks(int fd, const std::string& path, Node& node, std::size_t have,
                                unsigned thread) {
  ReadBuffer& buffer = workers_[thread].buffer;
  std::size_t begin = 0;    // Of the chunk in the buffer.
  std::size_t end = have;   // Of what was read.
  std::size_t scanned = 0;  // Of the chunk, in vain.
  bool ended = false;
  struct stat info {};
  ::fstat(fd, &info);
  std::optional<std::size_t> block;
  while (!is_stopped() && (!ended || begin < end)) {
    const View rest = buffer.bytes().subspan(begin, end - begin);
    if (!block && (ended || end >= kBlockBytesMin)) {
      block = block_bytes(path, rest, static_cast<std::uint64_t>(info.st_size));
    }
    std::size_t length = 0;
    if (block.value_or(0) > 0) {
      length = ended || rest.size() >= *block ? std::min(*block, rest.size()) : 0;
    } else if (block) {
      length = chunker_.next(rest, scanned, ended);
    }
    if (length > 0) {
      take_chunk(rest.first(length), node, thread);
      begin += length;
      scanned = 0;
      if (buffer.size() > kBufferBytesKept && end - begin <= kReadBytes) {
        // The long chunk's room goes back.
        std::memmove(buffer.bytes().data(), buffer.bytes().data() + begin, end - begin);
        end -= std::exchange(begin, 0);
        buffer.shrink(kBufferBytesKept);
      }
      continue;
    }
    scanned = rest.size();
    if (buffer.size() < end + kReadBytes) {
      if (begin > 0)
        std::memmove(buffer.bytes().data(), buffer.bytes().data() + begin, end - begin);
      end -= std::exchange(begin, 0);
      const std::size_t wanted = std::min(kBufferBytesMax, std::max(2 * end, kBufferBytesKept));
      if (buffer.size() < end + kReadBytes) buffer.grow(std::max(wanted, end + kReadBytes));
    }
    const ssize_t got = read_up_to(fd, buffer.bytes().subspan(end, kReadBytes));
    if (got < 0) return system_failure("reading", path);
    end += static_cast<std::size_t>(got);
    ended = static_cast<std::size_t>(got) < kReadBytes;
  }
  if (buffer.size() > kBufferBytesKept) buffer.reset();
  return {};
}

Digest Walk::store_chunk(View chunk, unsigned thread) {
  const Digest id = sha256(chunk);
  if (saver_.claim({.id = id, .type = BlobType::Data})) return id;
  // The chunks of one large file keep several threads busy.
  const bool ahead = sealing_bytes_ + chunk.size() <= kSealedAheadMax || pool_.has_idle();
  if (chunk.size() >= kBlockBytesMin && ahead) {
    sealing_bytes_ += chunk.size();
    pool_.add(TaskPool::Kind::File,
              [this, id, copy = Bytes(chunk.begin(), chunk.end())](unsigned other) {
                seal_chunk(id, copy, other);
                sealing_bytes_ -= copy.size();
              });
  } else {
    seal_chunk(id, chunk, thread);
  }
  return id;
}

void Walk::seal_chunk(const Digest& id, View chunk, unsigned thread) {
  if (is_failed()) return;
  auto stored = saver_.store(workers_[thread].codec, BlobType::Data, id, chunk);
  if (!stored) stop_with(std::move(stored.error()));
}

}  // namespace recover::backup
