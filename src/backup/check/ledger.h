// When each pack was last read and found to be what was written: so that verifying a part at a time
// comes round to everything, and one that was broken off goes on.
//
// A file outside the repository, lines of "<pack> <seconds since 1970>". Losing it loses nothing
// but the order in which packs are read.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>

#include "backup/crypto/digest.h"
#include "backup/failure.h"

namespace recover::backup {

// Thread-safe.
class ReadLedger {
 public:
  // What is there; empty when there is none or it cannot be read.
  explicit ReadLedger(std::string path);

  // Where this machine keeps the ledger of a repository: below XDG_STATE_HOME if that is set, else
  // for root below /var/lib/recoverd, for others below ~/.local/state.
  static std::string default_path(const std::string& repository_id);

  // Seconds since 1970; 0: never.
  std::int64_t last_read(const Digest& pack) const;
  // Saves now and then by itself.
  void note(const Digest& pack, std::int64_t seconds);
  void forget(const Digest& pack);
  // Makes the folders on the way. Whole or not at all.
  Outcome<void> save() const;

 private:
  static constexpr std::chrono::seconds kSaveEvery{10};
  Outcome<void> save_locked() const;

  const std::string path_;
  mutable std::mutex mutex_;
  std::unordered_map<Digest, std::int64_t> read_;
  std::chrono::steady_clock::time_point saved_ = std::chrono::steady_clock::now();
};

}  // namespace recover::backup
