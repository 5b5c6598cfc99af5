// Repositories of more files than a test has time to make: their trees, packs and index files are
// real, what the files hold is not there (packs of holes, of the right size). And by how much the
// memory of a process grows while it works with them.
#pragma once

#include <malloc.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>

#include "backup/format/tree.h"
#include "backup/repo/blob_saver.h"
#include "backup/store/layout.h"
#include "test/temp_folder.h"

namespace recover::test {

inline backup::Digest digest_of(const std::string& kind, std::uint64_t number) {
  return backup::sha256(backup::view_of(kind + std::to_string(number)));
}

inline backup::Node wide_node(std::uint64_t number, std::string name) {
  const backup::Timestamp time{.seconds = 1'700'000'000 + static_cast<std::int64_t>(number),
                               .nanoseconds = 123'456'789};
  return {.name = std::move(name),
          .type = backup::NodeType::File,
          .mode = 0644,
          .mtime = time,
          .atime = time,
          .ctime = time,
          .user = "somebody",
          .group = "everybody",
          .inode = number,
          .device_id = 66,
          .links = 1};
}

// `folders` folders of `files` files each, every one with other content.
class WideRepository {
 public:
  static constexpr std::uint32_t kSealedBytes =
      360;  // Ten thousand are a pack that no prune finds too small.

  WideRepository(const backup::Repository& repository, const std::string& folder)
      : repository_(repository),
        folder_(folder),
        index_(repository.new_index()),
        saver_(repository, index_, backup::kPackBytesDefault),
        codec_(repository.key(), backup::kDefaultLevel) {
    index_.settle();
  }

  backup::Digest add_tree(std::uint64_t first, std::uint64_t files) {
    backup::TreeText tree;
    for (std::uint64_t i = first; i < first + files; ++i) {
      backup::Node node = wide_node(i, "file-" + std::to_string(10'000'000 + i));
      node.content = {digest_of("data", i)};
      node.size = kSealedBytes - backup::kSealOverhead;
      tree.add(node);
      add_blob(node.content.front());
    }
    return save(tree.finish());
  }
  // A folder of so many empty files.
  std::optional<backup::Digest> add_giant(std::uint64_t files) {
    auto text = backup::SpilledText::open(folder_);
    if (!text || !text->append("{\"nodes\":[")) return std::nullopt;
    for (std::uint64_t i = 0; i < files; ++i) {
      std::string node;
      backup::append_node(node, wide_node(i, "file-" + std::to_string(10'000'000 + i)));
      text->append((i == 0 ? "" : ",") + node);
    }
    text->append("]}\n");
    if (!text->flush()) return std::nullopt;
    backup::Sha256 hash;
    text->each_piece([&](backup::View piece) {
      hash.add(piece);
      return true;
    });
    const backup::Digest id = hash.finish();
    saver_.claim({.id = id, .type = backup::BlobType::Tree});
    if (!saver_.store_long(codec_, id, text->pieces())) return std::nullopt;
    return id;
  }
  // A root of these, and a snapshot of it. False: it could not be written.
  bool finish(const std::vector<backup::Digest>& folders) {
    backup::TreeText root;
    for (std::size_t i = 0; i < folders.size(); ++i) {
      backup::Node node = wide_node(i, "folder-" + std::to_string(100'000 + i));
      node.type = backup::NodeType::Folder;
      node.links = 0;
      node.subtree = folders[i];
      root.add(node);
    }
    const backup::Digest tree = save(root.finish());
    if (!blobs_.empty()) write_pack();
    return saver_.finish() &&
           repository_.save(
               backup::FileKind::Snapshot,
               text_of(backup::Snapshot{
                   .time = {.seconds = 1}, .tree = tree, .paths = {"/data"}, .host = "h"}));
  }

 private:
  backup::Digest save(const std::string& text) {
    const backup::Digest id = backup::sha256(backup::view_of(text));
    if (!saver_.claim({.id = id, .type = backup::BlobType::Tree})) {
      (void)saver_.store(codec_, backup::BlobType::Tree, id, backup::view_of(text));
    }
    return id;
  }
  void add_blob(const backup::Digest& id) {
    constexpr std::size_t kPackBlobs = 10'000;
    blobs_.push_back({.id = id,
                      .type = backup::BlobType::Data,
                      .offset = static_cast<std::uint32_t>(blobs_.size()) * kSealedBytes,
                      .length = kSealedBytes});
    if (blobs_.size() == kPackBlobs) write_pack();
  }
  void write_pack() {
    const backup::IndexedPack pack{.id = digest_of("pack", packs_++),
                                   .blobs = std::exchange(blobs_, {})};
    const std::string path =
        folder_ + "/" + backup::relative_path({.kind = backup::FileKind::Pack, .id = pack.id});
    std::ofstream(path).close();
    std::filesystem::resize_file(path, backup::pack_bytes(pack.blobs));
    backup::IndexText text;
    text.add(pack);
    (void)repository_.save(backup::FileKind::Index, text.finish());
  }

  const backup::Repository& repository_;
  const std::string folder_;
  backup::BlobIndex index_;
  backup::BlobSaver saver_;
  backup::BlobCodec codec_;
  std::vector<backup::BlobEntry> blobs_;
  std::uint64_t packs_ = 0;
};

// Of /proc/self/status, in MiB.
inline double status_mib(const std::string& key) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(key)) return std::stod(line.substr(key.size())) / 1024;
  }
  return 0;
}

// By how many MiB a process' memory is larger at its peak than before it did the work, in a process
// of its own. None: the work failed.
inline std::optional<double> growth_mib(const std::function<bool()>& work) {
  void* const shared =
      ::mmap(nullptr, sizeof(double), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return std::nullopt;
  double& growth = *static_cast<double*>(shared);
  const pid_t child = ::fork();
  if (child == 0) {
    // As the programs have it.
    ::mallopt(M_MMAP_THRESHOLD, 512 * 1024);
    ::mallopt(M_TRIM_THRESHOLD, 2 * 1024 * 1024);
    ::mallopt(M_ARENA_MAX, 2);
    ::malloc_trim(0);
    const double before = status_mib("VmRSS:");
    const bool done = work();
    growth = status_mib("VmHWM:") - before;
    ::_exit(done ? 0 : 1);
  }
  int status = 1;
  ::waitpid(child, &status, 0);
  const double grown = growth;
  ::munmap(shared, sizeof(double));
  return status == 0 ? std::optional(grown) : std::nullopt;
}

}  // namespace recover::test
