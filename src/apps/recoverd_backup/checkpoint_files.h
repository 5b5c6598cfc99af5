// What a snapshot holds, as the restore of a checkpoint wants it: names, and contents by name.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "adapters/checkpoint/content_source.h"
#include "adapters/checkpoint/protocol.h"
#include "backup/format/node.h"
#include "backup/repo/repository.h"

namespace recover::apps {

class CheckpointFiles final : public adapters::checkpoint::ContentSource {
 public:
  // Reads the trees of the snapshot below the job's paths. `repository` outlives it. Corrupt: a
  // tree cannot be read.
  static Result<std::unique_ptr<CheckpointFiles>, adapters::checkpoint::CheckpointError> open(
      const backup::Repository& repository, const backup::Digest& tree,
      const adapters::checkpoint::WorkerJob& job);

  // Folders before what is in them; absent ones too.
  const std::vector<ports::CheckpointFile>& entries() const { return entries_; }
  std::vector<ports::CheckpointFile>& entries() { return entries_; }
  // CheckpointRecord::content of a checkpoint of the job's service.
  std::string content_id() const { return content_id_; }

  adapters::checkpoint::Done check(const ports::CheckpointFile& file,
                                   const ports::CheckpointLimits& limits) override;
  Result<bool, adapters::checkpoint::CheckpointError> is_content(
      int fd, const ports::CheckpointFile& file, const ports::CheckpointLimits& limits) override;
  adapters::checkpoint::Done copy_to(int fd, const ports::CheckpointFile& file,
                                     const ports::CheckpointLimits& limits) override;

 private:
  CheckpointFiles(const backup::Repository& repository, backup::BlobIndex index)
      : repository_(repository),
        index_(std::move(index)),
        codec_(repository.key(), backup::kDefaultLevel) {}
  backup::Outcome<void> read(const backup::Digest& tree,
                             const adapters::checkpoint::WorkerJob& job);
  void add(const std::string& path, const backup::Node& node);
  adapters::checkpoint::Done for_each_blob(
      const ports::CheckpointFile& file,
      const std::function<adapters::checkpoint::Done(backup::View)>& use);

  const backup::Repository& repository_;
  const backup::BlobIndex index_;
  backup::BlobCodec codec_;
  std::vector<ports::CheckpointFile> entries_;
  std::map<std::string, std::vector<backup::Digest>> contents_;  // By path.
  std::string content_id_;
};

}  // namespace recover::apps
