#include "backup/archive/stream.h"

#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "backup/archive/block_files.h"
#include "backup/chunk/chunker.h"
#include "backup/format/tree.h"
#include "backup/local/file.h"

namespace recover::backup {
namespace {

constexpr std::size_t kStreamReadBytes = std::size_t{1} << 20U;
constexpr std::uint32_t kStreamMode =
    0600;  // Whoever restores it owns it; a dump is nobody else's.

Timestamp clock_now() {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME, &time);
  return {.seconds = time.tv_sec, .nanoseconds = static_cast<std::uint32_t>(time.tv_nsec)};
}

class StreamArchive {
 public:
  StreamArchive(const Repository& repository, const BlobIndex& index, const StreamOptions& options,
                ArchiveProgress& progress)
      : repository_(repository),
        options_(options),
        progress_(progress),
        chunker_(repository.config().polynomial),
        saver_(repository, index, options.pack_bytes),
        codec_(repository.key(), options.level) {
    node_.name = options.name;
    node_.type = NodeType::File;
    node_.mode = kStreamMode;
    node_.mtime = node_.atime = node_.ctime = options.now;
    node_.uid = ::geteuid();
    node_.gid = ::getegid();
    node_.user = options.user;
    node_.links = 1;
  }

  Outcome<ArchiveReport> run(const StreamRead& source, const std::stop_token& stop) {
    if (auto read = read_stream(source, stop); !read) return Unexpected(std::move(read.error()));
    if (auto whole = options_.is_whole(); !whole) return Unexpected(std::move(whole.error()));
    ++progress_.files_new;
    TreeText text;
    text.add(node_);
    const std::string tree = text.finish();
    const View bytes(reinterpret_cast<const std::uint8_t*>(tree.data()), tree.size());
    const auto root = store(BlobType::Tree, bytes);
    if (!root) return Unexpected(root.error());
    if (auto finished = saver_.finish(); !finished) {
      return Unexpected(std::move(finished.error()));
    }
    return save_snapshot(*root);
  }

 private:
  // Until `room` is full or the stream ends.
  static Outcome<std::size_t> fill(const StreamRead& source, std::span<std::uint8_t> room) {
    std::size_t have = 0;
    while (have < room.size()) {
      auto got = source(room.subspan(have));
      if (!got) return got;
      if (*got == 0) break;
      have += *got;
    }
    return have;
  }

  // The length of the next piece of `rest`; 0: more must be read to tell.
  std::size_t next_length(View rest, std::size_t scanned, bool ended) const {
    if (block_ == 0) return chunker_.next(rest, scanned, ended);
    return rest.size() >= block_ ? block_ : ended ? rest.size() : 0;
  }

  Outcome<void> read_stream(const StreamRead& source, const std::stop_token& stop) {
    Bytes buffer(kChunkMax + kStreamReadBytes);
    std::size_t begin = 0;
    std::size_t end = 0;
    std::size_t scanned = 0;
    bool ended = false;
    while (!ended || begin < end) {
      if (stop.stop_requested()) {
        return fail(FailureKind::Invalid, "the backup was stopped before its end");
      }
      const View rest = View(buffer).subspan(begin, end - begin);
      if (const std::size_t length = next_length(rest, scanned, ended); length > 0) {
        auto stored = store(BlobType::Data, rest.first(length));
        if (!stored) return Unexpected(std::move(stored.error()));
        node_.content.push_back(*stored);
        node_.size += length;
        progress_.bytes += length;
        begin += length;
        scanned = 0;
        continue;
      }
      if (ended) break;
      scanned = rest.size();
      std::copy(buffer.begin() + static_cast<std::ptrdiff_t>(begin),
                buffer.begin() + static_cast<std::ptrdiff_t>(end), buffer.begin());
      end -= std::exchange(begin, 0);
      const auto got = fill(source, std::span(buffer).subspan(end, kStreamReadBytes));
      if (!got) return Unexpected(got.error());
      end += *got;
      ended = *got < kStreamReadBytes;
      if (node_.size == 0 && options_.size > 0) {
        block_ = block_bytes(options_.name, View(buffer).first(end), options_.size);
      }
    }
    return {};
  }

  Outcome<Digest> store(BlobType type, View bytes) {
    const Digest id = sha256(bytes);
    if (saver_.claim({.id = id, .type = type})) return id;
    if (auto stored = saver_.store(codec_, type, id, bytes); !stored) {
      return Unexpected(std::move(stored.error()));
    }
    return id;
  }

  Outcome<ArchiveReport> save_snapshot(const Digest& root) {
    const SavedBytes saved = saver_.saved();
    SnapshotSummary summary{.backup_start = options_.now, .backup_end = clock_now()};
    summary.files_new = summary.files_processed = 1;
    summary.data_blobs = saved.data_blobs;
    summary.tree_blobs = saved.tree_blobs;
    summary.data_added = saved.plain_bytes;
    summary.data_added_packed = saved.stored_bytes;
    summary.bytes_processed = node_.size;
    ArchiveReport report{.id = {},
                         .snapshot = {.time = options_.now,
                                      .parent = std::nullopt,
                                      .tree = root,
                                      .paths = {"/" + options_.name},
                                      .host = options_.host,
                                      .user = options_.user,
                                      .uid = ::geteuid(),
                                      .gid = ::getegid(),
                                      .excludes = {},
                                      .tags = options_.tags,
                                      .original = std::nullopt,
                                      .program_version = options_.program_version,
                                      .summary = summary},
                         .problems = {},
                         .problem_count = 0};
    if (options_.hold) return report;
    if (auto saved_it = save_held(repository_, report, options_.still_locked); !saved_it) {
      return Unexpected(std::move(saved_it.error()));
    }
    return report;
  }

  const Repository& repository_;
  const StreamOptions& options_;
  ArchiveProgress& progress_;
  const Chunker chunker_;
  BlobSaver saver_;
  BlobCodec codec_;
  std::size_t block_ = 0;  // Cut into pieces of so many bytes; 0: by content.
  Node node_;
};

}  // namespace

Outcome<ArchiveReport> archive_stream(const Repository& repository, int fd,
                                      const StreamOptions& options, ArchiveProgress& progress,
                                      const std::stop_token& stop) {
  const StreamRead read = [&](std::span<std::uint8_t> room) -> Outcome<std::size_t> {
    const ssize_t got = read_up_to(fd, room);
    if (got < 0) return system_failure("reading", options.name);
    return static_cast<std::size_t>(got);
  };
  return archive_stream(repository, read, options, progress, stop);
}

Outcome<ArchiveReport> archive_stream(const Repository& repository, const StreamRead& read,
                                      const StreamOptions& options, ArchiveProgress& progress,
                                      const std::stop_token& stop) {
  if (!is_safe_name(options.name)) {
    return fail(FailureKind::Invalid, "`" + options.name + "` cannot name a file of a snapshot");
  }
  const auto index = repository.load_index_to_add_to();
  if (!index) return Unexpected(index.error());
  return StreamArchive(repository, *index, options, progress).run(read, stop);
}

Outcome<void> save_held(const Repository& repository, ArchiveReport& report,
                        const std::function<bool()>& still_locked) {
  if (still_locked && !still_locked()) {
    return fail(FailureKind::Locked, "the lock was lost while backing up: others may have pruned");
  }
  const auto id = repository.save(FileKind::Snapshot, text_of(report.snapshot));
  if (!id) return Unexpected(id.error());
  report.id = *id;
  return {};
}

}  // namespace recover::backup
