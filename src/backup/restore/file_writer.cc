#include "backup/restore/file_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "backup/restore/leftovers.h"

namespace recover::backup {
namespace {

constexpr mode_t kPrivate = 0600;
constexpr std::size_t kBlobsForTwo = 16;

std::array<timespec, 2> times_of(const Node& node) {
  const auto time = [](const Timestamp& stamp) {
    return timespec{.tv_sec = stamp.seconds, .tv_nsec = static_cast<long>(stamp.nanoseconds)};
  };
  return {time(node.atime), time(node.mtime)};
}

bool is_zero(View bytes) {
  return bytes.empty() ||
         (bytes[0] == 0 && std::equal(bytes.begin() + 1, bytes.end(), bytes.begin()));
}

Outcome<std::uint64_t> write_content(int fd, const Node& node, const BlobSource& blobs,
                                     bool sparse) {
  std::uint64_t bytes = 0;
  bool hole_at_end = false;
  for (const Digest& id : node.content) {
    const auto blob = blobs(id);
    if (!blob) return Unexpected(blob.error());
    bytes += blob->size();
    hole_at_end = sparse && is_zero(*blob);
    const bool done = hole_at_end ? ::lseek(fd, static_cast<off_t>(blob->size()), SEEK_CUR) >= 0
                                  : write_all(fd, *blob);
    if (!done) return system_failure("writing", node.name);
  }
  if (hole_at_end && ::ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    return system_failure("extending", node.name);
  }
  if (bytes != node.size) {
    return fail(FailureKind::Damaged, node.name + ": its blobs have " + std::to_string(bytes) +
                                          " bytes, its tree says " + std::to_string(node.size));
  }
  return bytes;
}

// Of a large file two threads write one blob after another, each at its place.
class TwoWriters {
 public:
  // None: no index knows the length of some blob, or they are not the node's size in all.
  static std::optional<TwoWriters> plan(int fd, const Node& node, const BlobLength& lengths,
                                        bool sparse) {
    TwoWriters writers(fd, node, sparse);
    std::uint64_t offset = 0;
    for (const Digest& id : node.content) {
      const auto length = lengths(id);
      if (!length) return std::nullopt;
      writers.offsets_.push_back(offset);
      offset += *length;
    }
    if (offset != node.size) return std::nullopt;
    writers.offsets_.push_back(offset);
    return writers;
  }

  // The second may come at any time: who is busy now may be free long before a large file is done.
  Outcome<std::uint64_t> run(const BlobSource& first, const std::function<BlobSource()>& second) {
    std::atomic<std::size_t> next{0};
    Outcome<void> other;
    BlobSource others;
    std::thread helper;
    Outcome<void> own = write(next, first, [&] {
      if (helper.joinable()) return;
      others = second();
      if (others) helper = std::thread([&] { other = write(next, others, [] {}); });
    });
    if (helper.joinable()) helper.join();
    if (own) own = std::move(other);
    if (!own) return Unexpected(std::move(own.error()));
    if (sparse_ && ::ftruncate(fd_, static_cast<off_t>(node_.size)) != 0) {
      return system_failure("extending", node_.name);
    }
    return node_.size;
  }

 private:
  TwoWriters(int fd, const Node& node, bool sparse) : fd_(fd), node_(node), sparse_(sparse) {}

  template <class Before>
  Outcome<void> write(std::atomic<std::size_t>& next, const BlobSource& blobs,
                      Before&& before_each) const {
    for (std::size_t i = next++; i < node_.content.size(); i = next++) {
      before_each();
      const auto blob = blobs(node_.content[i]);
      // The other one has nothing left to do either.
      if (!blob || blob->size() != offsets_[i + 1] - offsets_[i]) next = node_.content.size();
      if (!blob) return Unexpected(blob.error());
      if (blob->size() != offsets_[i + 1] - offsets_[i]) {
        return fail(FailureKind::Damaged, node_.name + ": a blob is not of its length");
      }
      if (sparse_ && is_zero(*blob)) continue;
      if (!write_all(fd_, offsets_[i], *blob)) return system_failure("writing", node_.name);
    }
    return {};
  }

  int fd_;
  const Node& node_;
  bool sparse_;
  std::vector<std::uint64_t> offsets_;  // Of each blob, and the end.
};

Outcome<std::uint64_t> write_content(int fd, const Node& node, const ContentSource& source,
                                     bool sparse) {
  if (source.second && node.content.size() >= kBlobsForTwo) {
    if (auto writers = TwoWriters::plan(fd, node, source.lengths, sparse)) {
      return writers->run(source.blobs, source.second);
    }
  }
  return write_content(fd, node, source.blobs, sparse);
}

// Makes `make` put something under a temporary name and gives it its own.
template <class Make>
Outcome<void> replace(int folder, const std::string& name, Make&& make) {
  const std::string temporary = temporary_name();
  if (auto made = make(temporary); !made) {
    ::unlinkat(folder, temporary.c_str(), 0);
    return made;
  }
  if (::renameat(folder, temporary.c_str(), folder, name.c_str()) != 0) {
    const auto failure = system_failure("naming", name);
    ::unlinkat(folder, temporary.c_str(), 0);
    return failure;
  }
  return {};
}

// `set` is the system's call on one entry.
template <class Set>
Outcome<void> set_attributes(const Node& node, Set&& set) {
  for (const ExtendedAttribute& attribute : node.attributes) {
    if (set(attribute.name.c_str(), attribute.value.data(), attribute.value.size()) != 0) {
      return system_failure("setting attribute " + attribute.name + " of", node.name);
    }
  }
  return {};
}

// Of what cannot be opened. The folder's own link in /proc stands for the calls that there are not:
// relative to a folder.
Outcome<void> set_special_attributes(int folder, const std::string& name, const Node& node) {
  if (node.attributes.empty()) return {};
  const std::string path = "/proc/self/fd/" + std::to_string(folder) + "/" + name;
  return set_attributes(node, [&](const char* key, const char* value, std::size_t size) {
    return ::lsetxattr(path.c_str(), key, value, size, 0);
  });
}

mode_t kind_of(const Node& node) {
  if (node.type == NodeType::Fifo) return S_IFIFO;
  return node.type == NodeType::BlockDevice ? S_IFBLK : S_IFCHR;
}

Outcome<void> make_special(int folder, const std::string& name, const Node& node) {
  int result = 0;
  if (node.type == NodeType::Symlink) {
    result = ::symlinkat(node.link_target.c_str(), folder, name.c_str());
  } else {
    result = ::mknodat(folder, name.c_str(), kind_of(node) | kPrivate, node.device);
  }
  if (result != 0) return system_failure("making", node.name);
  return {};
}

// There is no call that sets a mode and follows no link: by a descriptor of the very thing.
Outcome<void> set_special_mode(int folder, const std::string& name, const Node& node) {
  const Descriptor file(::openat(folder, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat info {};
  if (!file || ::fstat(file.get(), &info) != 0) return system_failure("looking at", node.name);
  if ((info.st_mode & S_IFMT) != kind_of(node)) {
    return fail(FailureKind::Invalid, node.name + ": somebody put something else in its place");
  }
  const std::string path = "/proc/self/fd/" + std::to_string(file.get());
  if (::chmod(path.c_str(), node.mode) != 0)
    return system_failure("setting the mode of", node.name);
  return {};
}

Outcome<void> set_special_metadata(int folder, const std::string& name, const Node& node,
                                   const WriteOptions& options) {
  if (options.owners &&
      ::fchownat(folder, name.c_str(), node.uid, node.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return system_failure("giving to its owner", node.name);
  }
  if (node.type != NodeType::Symlink) {
    if (auto set = set_special_mode(folder, name, node); !set) return set;
  }
  if (auto set = set_special_attributes(folder, name, node); !set) return set;
  const auto times = times_of(node);
  if (::utimensat(folder, name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0) {
    return system_failure("setting the times of", node.name);
  }
  return {};
}

}  // namespace

bool has_content(int folder, const Node& node, const BlobLength& lengths) {
  const Descriptor file(
      ::openat(folder, node.name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat info {};
  if (!file || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode) || info.st_nlink != 1 ||
      static_cast<std::uint64_t>(info.st_size) != node.size) {
    return false;
  }
  Bytes bytes;
  return std::all_of(node.content.begin(), node.content.end(), [&](const Digest& id) {
    const auto length = lengths(id);
    if (!length) return false;
    bytes.resize(*length);
    return read_up_to(file.get(), bytes) == static_cast<ssize_t>(*length) && sha256(bytes) == id;
  });
}

Outcome<void> set_metadata(int fd, const Node& node, const WriteOptions& options) {
  Outcome<void> first;
  const auto keep = [&](Outcome<void> done) {
    if (first && !done) first = std::move(done);
  };
  // chown clears setuid, so the mode comes after it.
  if (options.owners && ::fchown(fd, node.uid, node.gid) != 0) {
    keep(system_failure("giving to its owner", node.name));
  }
  keep(set_attributes(node, [&](const char* key, const char* value, std::size_t size) {
    return ::fsetxattr(fd, key, value, size, 0);
  }));
  if (::fchmod(fd, node.mode) != 0) keep(system_failure("setting the mode of", node.name));
  const auto times = times_of(node);
  if (::futimens(fd, times.data()) != 0) keep(system_failure("setting the times of", node.name));
  return first;
}

Outcome<std::uint64_t> write_file(int folder, const Node& node, const ContentSource& source,
                                  const WriteOptions& options) {
  std::uint64_t bytes = 0;
  std::optional<Failure> metadata;
  auto replaced = replace(folder, node.name, [&](const std::string& name) -> Outcome<void> {
    const Descriptor file(::openat(folder, name.c_str(),
                                   O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kPrivate));
    if (!file) return system_failure("creating", node.name);
    const auto written = write_content(file.get(), node, source, options.sparse);
    if (!written) return Unexpected(written.error());
    bytes = *written;
    if (auto set = set_metadata(file.get(), node, options); !set) metadata = std::move(set.error());
    return {};
  });
  if (!replaced) return Unexpected(std::move(replaced.error()));
  if (metadata) return Unexpected(std::move(*metadata));
  return bytes;
}

Outcome<void> write_special(int folder, const Node& node, const WriteOptions& options) {
  return replace(folder, node.name, [&](const std::string& name) -> Outcome<void> {
    if (auto made = make_special(folder, name, node); !made) return made;
    return set_special_metadata(folder, name, node, options);
  });
}

Outcome<void> write_hard_link(int from_folder, const std::string& from_name, int folder,
                              const std::string& name) {
  return replace(folder, name, [&](const std::string& temporary) -> Outcome<void> {
    if (::linkat(from_folder, from_name.c_str(), folder, temporary.c_str(), 0) != 0) {
      return system_failure("linking", name);
    }
    return {};
  });
}

Outcome<OpenedFolder> open_new_folder(int above, const Node& node) {
  constexpr mode_t kOwnOnly = 0700;
  const bool is_new = ::mkdirat(above, node.name.c_str(), kOwnOnly) == 0;
  if (!is_new && errno != EEXIST) return system_failure("making", node.name);
  Descriptor folder(
      ::openat(above, node.name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder) return system_failure("opening", node.name);
  return OpenedFolder{.fd = std::move(folder), .is_new = is_new};
}

}  // namespace recover::backup
