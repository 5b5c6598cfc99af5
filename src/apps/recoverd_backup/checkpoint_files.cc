#include "apps/recoverd_backup/checkpoint_files.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "adapters/checkpoint/record.h"
#include "adapters/checkpoint/survey.h"
#include "apps/recoverd_backup/checkpoint_vault.h"
#include "backup/browse/tree_walk.h"
#include "backup/local/file.h"

namespace recover::apps {

namespace checkpoint = adapters::checkpoint;
using backup::Digest;
using backup::Node;
using backup::NodeType;
using backup::Outcome;
using backup::TreeVisit;
using backup::View;
using checkpoint::CheckpointError;
using checkpoint::Done;
using ports::CheckpointFault;
using ports::CheckpointFile;
using ports::FileKind;

namespace {

constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;

CheckpointFile entry_of(const std::string& path, const Node& node) {
  CheckpointFile file{.path = path,
                      .mode = node.mode,
                      .uid = node.uid,
                      .gid = node.gid,
                      .mtime_ns = node.mtime.seconds * kNanosecondsPerSecond +
                                  std::int64_t{node.mtime.nanoseconds}};
  if (node.type == NodeType::Folder) file.kind = FileKind::Directory;
  if (node.type == NodeType::Symlink) {
    file.kind = FileKind::Symlink;
    file.mode = 0777;
    file.target = node.link_target;
  }
  if (node.type == NodeType::File) {
    file.size = node.size;
    if (node.content.empty()) file.sha256 = backup::hex(backup::sha256({}));
    if (node.content.size() == 1) file.sha256 = backup::hex(node.content.front());
  }
  return file;
}

std::size_t plain_length(const backup::BlobEntry& entry) {
  return entry.is_compressed() ? entry.uncompressed_length : entry.length - backup::kSealOverhead;
}

bool is_kept(NodeType type) {
  return type == NodeType::File || type == NodeType::Folder || type == NodeType::Symlink;
}

bool is_listed(const std::vector<std::string>& paths, const std::string& path) {
  return std::find(paths.begin(), paths.end(), path) != paths.end();
}

bool covers(const std::vector<std::string>& tops, const std::string& path) {
  return std::any_of(tops.begin(), tops.end(),
                     [&](const std::string& top) { return checkpoint::is_within(path, top); });
}

bool leads_to(const std::vector<std::string>& tops, const std::string& path) {
  return std::any_of(tops.begin(), tops.end(),
                     [&](const std::string& top) { return checkpoint::is_within(top, path); });
}

}  // namespace

Result<std::unique_ptr<CheckpointFiles>, CheckpointError> CheckpointFiles::open(
    const backup::Repository& repository, const Digest& tree, const checkpoint::WorkerJob& job) {
  auto index = repository.load_index();
  if (!index) return Unexpected(checkpoint_error(index.error()));
  std::unique_ptr<CheckpointFiles> files(new CheckpointFiles(repository, std::move(*index)));
  if (auto done = files->read(tree, job); !done) {
    return Unexpected(checkpoint_error(done.error()));
  }
  return files;
}

Outcome<void> CheckpointFiles::read(const Digest& tree, const checkpoint::WorkerJob& job) {
  checkpoint::FieldDigest id;
  for (const std::string_view field : {"recoverd checkpoint 2", job.service.c_str()}) id.add(field);
  for (const std::string& path : job.paths) id.add(path);
  for (const std::string& path : job.absent) {
    entries_.push_back({.path = path, .kind = FileKind::Absent});
    id.add(path);
  }
  auto walked = backup::walk_tree(
      repository_, index_, tree,
      [&](const std::string& path, const Node& node) -> Outcome<TreeVisit> {
        const bool covered = covers(job.paths, path);
        if (!covered) return leads_to(job.paths, path) ? TreeVisit::GoOn : TreeVisit::SkipBelow;
        if (!is_kept(node.type) || is_listed(job.not_held, path)) return TreeVisit::SkipBelow;
        add(path, node);
        const CheckpointFile& file = entries_.back();
        id.add(path);
        id.add(std::to_string(static_cast<int>(file.kind)) + " " + std::to_string(file.mode) + " " +
               std::to_string(file.uid) + " " + std::to_string(file.gid));
        id.add(file.target);
        std::string content;
        for (const Digest& blob : node.content) content += backup::text_of(blob.bytes);
        id.add(content);
        return TreeVisit::GoOn;
      });
  content_id_ = id.id();
  return walked;
}

void CheckpointFiles::add(const std::string& path, const Node& node) {
  entries_.push_back(entry_of(path, node));
  if (node.type == NodeType::File) contents_.emplace(path, node.content);
}

Done CheckpointFiles::for_each_blob(const CheckpointFile& file,
                                    const std::function<Done(View)>& use) {
  std::uint64_t bytes = 0;
  for (const Digest& id : contents_.at(file.path)) {
    const auto blob =
        repository_.read_blob(index_, {.id = id, .type = backup::BlobType::Data}, codec_);
    if (!blob) return Unexpected(checkpoint_error(blob.error()));
    bytes += blob->size();
    if (auto done = use(*blob); !done) return done;
  }
  if (bytes == file.size) return {};
  return Unexpected(CheckpointError{.fault = CheckpointFault::Corrupt,
                                    .message = "its blobs are not of its size",
                                    .path = file.path});
}

Done CheckpointFiles::check(const CheckpointFile& file, const ports::CheckpointLimits& limits) {
  return for_each_blob(file, [&](View) { return checkpoint::go_on(limits); });
}

Result<bool, CheckpointError> CheckpointFiles::is_content(int fd, const CheckpointFile& file,
                                                          const ports::CheckpointLimits& limits) {
  backup::Bytes bytes;
  std::uint64_t at = 0;
  for (const Digest& id : contents_.at(file.path)) {
    if (auto go = checkpoint::go_on(limits); !go) return Unexpected(std::move(go).error());
    const auto place = index_.find({.id = id, .type = backup::BlobType::Data});
    if (!place) return false;
    bytes.resize(plain_length(place->entry));
    const ssize_t size = backup::read_up_to(fd, at, bytes);
    if (size != static_cast<ssize_t>(bytes.size()) || backup::sha256(bytes) != id) return false;
    at += bytes.size();
  }
  return at == file.size;
}

Done CheckpointFiles::copy_to(int fd, const CheckpointFile& file,
                              const ports::CheckpointLimits& limits) {
  return for_each_blob(file, [&](View blob) -> Done {
    if (auto go = checkpoint::go_on(limits); !go) return go;
    return checkpoint::write_all(fd, backup::text_of(blob), file.path);
  });
}

}  // namespace recover::apps
