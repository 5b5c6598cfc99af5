#include "apps/recoverd_backup/tree_comparison.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <mutex>
#include <thread>
#include <utility>

#include "backup/browse/tree_walk.h"
#include "backup/crypto/cipher.h"
#include "posix/descriptor.h"

namespace recover::apps {
namespace {

using backup::FailureKind;
using backup::Node;
using backup::NodeType;
using backup::Outcome;

constexpr std::size_t kPieceBytes = std::size_t{256} << 10U;

bool is_at(const timespec& time, const backup::Timestamp& wanted) {
  return time.tv_sec == wanted.seconds &&
         static_cast<std::uint32_t>(time.tv_nsec) == wanted.nanoseconds;
}

// By what a backup goes by, too: then it holds what the snapshot does.
bool seems_unchanged(const struct stat& info, const Node& node) {
  return S_ISREG(info.st_mode) && static_cast<std::uint64_t>(info.st_size) == node.size &&
         is_at(info.st_mtim, node.mtime) && is_at(info.st_ctim, node.ctime) &&
         info.st_ino == node.inode;
}

bool has_kind(const struct stat& info, NodeType type) {
  switch (type) {
    case NodeType::File: return S_ISREG(info.st_mode);
    case NodeType::Folder: return S_ISDIR(info.st_mode);
    case NodeType::Symlink: return S_ISLNK(info.st_mode);
    case NodeType::BlockDevice: return S_ISBLK(info.st_mode);
    case NodeType::CharDevice: return S_ISCHR(info.st_mode);
    case NodeType::Fifo: return S_ISFIFO(info.st_mode);
    case NodeType::Other: return true;
  }
  return false;
}

std::string target_of(const std::string& path) {
  std::array<char, 4097> room{};
  const ssize_t length = ::readlink(path.c_str(), room.data(), room.size());
  return length < 0 ? std::string() : std::string(room.data(), static_cast<std::size_t>(length));
}

// One thread's share of the files: every n-th that it meets on its own walk.
class Share {
 public:
  Share(const backup::Repository& repository, const backup::BlobIndex& index,
        const ComparisonWish& wish, ComparisonProgress& progress, const std::stop_token& stop,
        unsigned number)
      : repository_(repository),
        index_(index),
        wish_(wish),
        progress_(progress),
        stop_(stop),
        number_(number),
        room_(kPieceBytes) {}

  Outcome<void> run(const backup::Digest& tree) {
    return walk_tree(repository_, index_, tree,
                     [&](const std::string& path, const Node& node) -> Outcome<backup::TreeVisit> {
                       if (stop_.stop_requested()) {
                         return backup::fail(FailureKind::Invalid, "the drill was stopped");
                       }
                       if (met_++ % wish_.threads == number_) look_at(path, node);
                       return backup::TreeVisit::GoOn;
                     });
  }

  Comparison found;

 private:
  enum class Content { Same, Different, Unreadable };

  void look_at(const std::string& path, const Node& node) {
    if (node.type == NodeType::File) return look_at_file(path, node);
    struct stat info {};
    if (node.type == NodeType::Other) return;
    const std::string restored = wish_.root + path;
    if (::lstat(restored.c_str(), &info) != 0 || !has_kind(info, node.type)) {
      return note_wrong(path + ": it was not restored as what it was");
    }
    if (node.type == NodeType::Symlink && target_of(restored) != node.link_target) {
      return note_wrong(path + ": it leads elsewhere than it did");
    }
    ++found.others;
  }

  void look_at_file(const std::string& path, const Node& node) {
    ++found.files;
    progress_.files.fetch_add(1, std::memory_order_relaxed);
    if (content_of(wish_.root + path, node) != Content::Same) {
      note_wrong(path + ": what was restored is not what was backed up");
    }
    found.bytes += node.size;
    progress_.bytes.fetch_add(node.size, std::memory_order_relaxed);
    if (wish_.with_source) look_at_source(path, node);
  }

  // The hashes are those of what was restored, so it serves to compare the source with them.
  void look_at_source(const std::string& path, const Node& node) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) return void(++found.gone);
    if (!seems_unchanged(info, node)) return void(++found.changed);
    const Content content = content_of(path, node);
    if (content == Content::Same) return void(++found.as_source);
    if (content == Content::Unreadable) return void(++found.gone);
    // It may have changed just now.
    if (::lstat(path.c_str(), &info) != 0 || !seems_unchanged(info, node)) {
      return void(++found.changed);
    }
    ++found.unlike_source_count;
    if (found.unlike_source.size() < Comparison::kToldMax) found.unlike_source.push_back(path);
  }

  void note_wrong(std::string text) {
    ++found.wrong_count;
    if (found.wrong.size() < Comparison::kToldMax) found.wrong.push_back(std::move(text));
  }

  Content content_of(const std::string& path, const Node& node) {
    const posix::Descriptor file(
        ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat info {};
    if (!file || ::fstat(file.get(), &info) != 0) return Content::Unreadable;
    const bool right_size =
        S_ISREG(info.st_mode) && static_cast<std::uint64_t>(info.st_size) == node.size;
    if (!right_size) return Content::Different;
    std::uint64_t total = 0;
    for (const backup::Digest& id : node.content) {
      const auto length = content_length(index_, id);
      if (!length || !has_blob(file.get(), id, *length)) return Content::Different;
      total += *length;
    }
    return total == node.size ? Content::Same : Content::Different;
  }

  bool has_blob(int file, const backup::Digest& id, std::uint64_t length) {
    while (length > 0) {
      const ssize_t got = ::read(file, room_.data(), std::min<std::uint64_t>(length, room_.size()));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      hash_.add(backup::View(room_).first(static_cast<std::size_t>(got)));
      length -= static_cast<std::uint64_t>(got);
    }
    return hash_.finish() == id;
  }

  const backup::Repository& repository_;
  const backup::BlobIndex& index_;
  const ComparisonWish& wish_;
  ComparisonProgress& progress_;
  const std::stop_token& stop_;
  unsigned number_;
  std::uint64_t met_ = 0;
  backup::Bytes room_;
  backup::Sha256 hash_;
};

void take_texts(std::vector<std::string>& all, std::vector<std::string> more) {
  for (std::string& text : more) {
    if (all.size() < Comparison::kToldMax) all.push_back(std::move(text));
  }
}

void add(Comparison& all, Comparison share) {
  all.files += share.files;
  all.bytes += share.bytes;
  all.others += share.others;
  all.as_source += share.as_source;
  all.changed += share.changed;
  all.gone += share.gone;
  all.wrong_count += share.wrong_count;
  all.unlike_source_count += share.unlike_source_count;
  take_texts(all.wrong, std::move(share.wrong));
  take_texts(all.unlike_source, std::move(share.unlike_source));
}

}  // namespace

std::optional<std::uint64_t> content_length(const backup::BlobIndex& index,
                                            const backup::Digest& id) {
  const auto place = index.find({.id = id, .type = backup::BlobType::Data});
  if (!place) return std::nullopt;
  const backup::BlobEntry& entry = place->entry;
  return entry.is_compressed() ? entry.uncompressed_length : entry.length - backup::kSealOverhead;
}

Outcome<Comparison> compare_restored(const backup::Repository& repository,
                                     const backup::BlobIndex& index,
                                     const backup::Snapshot& snapshot, const ComparisonWish& wish,
                                     ComparisonProgress& progress, const std::stop_token& stop) {
  std::mutex mutex;
  Comparison all;
  Outcome<void> done;
  {
    std::vector<std::jthread> threads;
    for (unsigned number = 0; number < wish.threads; ++number) {
      threads.emplace_back([&, number] {
        Share share(repository, index, wish, progress, stop, number);
        auto walked = share.run(snapshot.tree);
        const std::lock_guard lock(mutex);
        add(all, std::move(share.found));
        if (done && !walked) done = std::move(walked);
      });
    }
  }
  if (!done) return Unexpected(std::move(done.error()));
  return all;
}

}  // namespace recover::apps
