// Checkpoints as snapshots of a restic repository on this machine:
//
//   repository/                       any restic reads it, with the password beside it (0600)
//   services/<service>/<id>.json      a checkpoint is there once this file is (record.h)
//   services/<service>/names/<name>   the id a name points at
//
// What touches the repository is done by the backup worker, in a process of its own: the daemon
// stays small. A state that is as its newest checkpoint saw it is known by its times of change, and
// then nothing is run at all. Times order checkpoints by when they were last taken.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/checkpoint/background_worker.h"
#include "adapters/checkpoint/record.h"
#include "adapters/checkpoint/record_shelf.h"
#include "ports/checkpoint_store.h"

namespace recover::adapters::checkpoint {

inline constexpr std::size_t kNamedKeptMax = 50;  // Checkpoints that stay for their name.
// A name that begins so does not keep its checkpoint from being pruned.
inline constexpr std::string_view kPassingPrefix = "recovery-";
// So many snapshots are forgotten before the repository is swept of what only they held.
inline constexpr std::size_t kForgottenMax = 16;

// The tag of every snapshot of a service's state, and of a history's (its name begins with '@').
inline constexpr std::string_view kCheckpointTag = "checkpoint";

struct StoreOptions {
  std::string root;
  std::string worker;  // The program that does what touches the repository.
  // A file written twice within the step of the file system's clock has the same time of change:
  // what changed less than this before it was looked at may have changed again after it.
  Duration clock_step = std::chrono::seconds{2};
};

class RepositoryStore : public ports::CheckpointStore {
 public:
  // Creates the folder. What a recoverd before this kept in another form is taken over in the
  // background; whatever needs the repository waits for it. REQUIRES: no other process uses it.
  static Result<std::unique_ptr<RepositoryStore>, ports::CheckpointError> open(
      StoreOptions options);
  // Ends what runs in the background.
  ~RepositoryStore() override;

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
  Result<std::string, ports::CheckpointError> difference(std::string_view service,
                                                         std::string_view before,
                                                         std::string_view after) override;
  // Waits until nothing runs in the background.
  void settle();

 private:
  explicit RepositoryStore(StoreOptions options)
      : options_(std::move(options)), shelf_(options_.root), background_(options_.worker) {}

  Result<CheckpointRecord, ports::CheckpointError> find(std::string_view service,
                                                        std::string_view checkpoint);
  std::optional<CheckpointRecord> seen_already(const ports::TakeRequest& request,
                                               const std::vector<std::string>& paths,
                                               const std::string& fingerprint);
  Result<ports::TakenCheckpoint, ports::CheckpointError> keep(const ports::TakeRequest& request,
                                                              CheckpointRecord record,
                                                              std::uint64_t bytes_stored);
  Done forget(std::string_view service, const RecordShelf::Listed& checkpoint);
  void drop_snapshot(const std::string& snapshot) const;
  void take_undo(const CheckpointRecord& record, const ports::CheckpointLimits& limits,
                 ports::RestoreReport& report);

  void end_sweep();
  Done wait_until_taken_over(const ports::CheckpointLimits& limits);
  std::optional<std::string> sweep_job() const;

  const StoreOptions options_;
  const RecordShelf shelf_;
  // Of the shelf; held for moments only.
  mutable std::mutex records_;

  std::atomic<bool> taking_over_{false};
  // What was before this process counts.
  std::atomic<std::size_t> forgotten_{kForgottenMax - 1};
  BackgroundWorker background_;  // Last: it uses all of the above.
};

}  // namespace recover::adapters::checkpoint
