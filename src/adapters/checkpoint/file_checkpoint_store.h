// Checkpoints in a folder of this machine:
//
//   objects/ab/cdef…                  contents, each once (object_store.h)
//   services/<service>/<id>.json      a checkpoint is there once this file is (manifest.h)
//   services/<service>/names/<name>   the id a name points at
//   tmp/                              unfinished objects, cleared at open
//
// Service and checkpoint names are escaped (%41) where they could be paths. Times order checkpoints
// by when they were last taken. Extended attributes and hard links are not kept.
#pragma once

#include <memory>
#include <set>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/checkpoint/object_store.h"
#include "ports/checkpoint_store.h"

namespace recover::adapters::checkpoint {

inline constexpr std::size_t kNameBytesMax = 80;  // Of a service, and of a checkpoint's name.
inline constexpr std::size_t kNamedKeptMax = 50;  // Checkpoints that stay for their name.
inline constexpr std::size_t kIdPrefixMin = 8;    // Digits of an id that may stand for it.
// A name that begins so does not keep its checkpoint from being pruned.
inline constexpr std::string_view kPassingPrefix = "recovery-";

class FileCheckpointStore : public ports::CheckpointStore {
 public:
  // Creates the folder. REQUIRES: no other process uses it.
  static Result<std::unique_ptr<FileCheckpointStore>, ports::CheckpointError> open(
      const std::string& root);

  Result<ports::TakenCheckpoint, ports::CheckpointError> take(
      const ports::TakeRequest& request) override;
  Result<void, ports::CheckpointError> name(std::string_view service, std::string_view checkpoint,
                                            std::string_view name) override;
  Result<std::vector<ports::CheckpointInfo>, ports::CheckpointError> list(
      std::string_view service) override;
  Result<ports::CheckpointContents, ports::CheckpointError> show(
      std::string_view service, std::string_view checkpoint) override;
  Result<ports::RestoreReport, ports::CheckpointError> restore(
      const ports::RestoreRequest& request) override;
  // Stay: the newest `keep`, those in use, those with a name (kPassingPrefix aside; the newest
  // kNamedKeptMax of them), and ports::kLastGood whatever happens.
  Result<std::vector<std::string>, ports::CheckpointError> prune(
      const ports::PruneRequest& request) override;

 private:
  explicit FileCheckpointStore(const std::string& root) : objects_(root), root_(root) {}

  struct Listed;
  std::string folder_of(std::string_view service) const;
  Result<std::string, ports::CheckpointError> resolve(std::string_view service,
                                                      std::string_view checkpoint) const;
  Result<ports::CheckpointContents, ports::CheckpointError> load(std::string_view service,
                                                                 const std::string& id) const;
  Result<std::vector<Listed>, ports::CheckpointError> listed(std::string_view service) const;
  // Whether it was new.
  Result<bool, ports::CheckpointError> keep(const ports::CheckpointContents& contents) const;
  Done point(std::string_view service, std::string_view name, const std::string& id) const;
  Done forget(std::string_view service, const Listed& checkpoint) const;
  Result<bool, ports::CheckpointError> add_wanted(const std::string& folder,
                                                  std::set<std::string>& wanted) const;
  Done sweep() const;

  ObjectStore objects_;
  std::string root_;
  // Taking and restoring share it; pruning, which removes what nothing names, has it alone.
  std::shared_mutex pruning_;
};

}  // namespace recover::adapters::checkpoint
