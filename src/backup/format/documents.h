// The small JSON files of a repository: config, keys, locks, snapshots. Text in, value out, and
// back; unknown fields are ignored, as restic does.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backup/chunk/polynomial.h"
#include "backup/crypto/cipher.h"
#include "backup/crypto/digest.h"
#include "backup/crypto/key_derivation.h"
#include "backup/failure.h"
#include "backup/format/go_text.h"

namespace recover::backup {

struct RepositoryConfig {
  int version = 2;      // 1 or 2.
  std::string id = {};  // 64 hex digits, random.
  Polynomial polynomial;
};

struct KeyFile {
  Timestamp created = {};
  std::string user = {};
  std::string host = {};
  ScryptCost cost;
  Bytes salt = {};    // kSaltBytes.
  Bytes sealed = {};  // The master key's text under the password's key.
};

struct Lock {
  Timestamp time = {};
  bool exclusive = false;
  std::string host = {};
  std::string user = {};
  std::int64_t pid = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  // Ours, which restic passes over: processes of the same text have each a PID of their own, all
  // of which its processes see. Empty: not known.
  std::string pid_space = {};
};

struct SnapshotSummary {
  Timestamp backup_start = {};
  Timestamp backup_end = {};
  std::uint64_t files_new = 0;
  std::uint64_t files_changed = 0;
  std::uint64_t files_unmodified = 0;
  std::uint64_t folders_new = 0;
  std::uint64_t folders_changed = 0;
  std::uint64_t folders_unmodified = 0;
  std::uint64_t data_blobs = 0;
  std::uint64_t tree_blobs = 0;
  std::uint64_t data_added = 0;
  std::uint64_t data_added_packed = 0;
  std::uint64_t files_processed = 0;
  std::uint64_t bytes_processed = 0;
};

// The tag of a snapshot that holds what a backup had read when it was stopped: the next one goes on
// from it and removes it.
inline constexpr std::string_view kPartialTag = "partial";

struct Snapshot {
  Timestamp time = {};  // When the backup began.
  std::optional<Digest> parent = {};
  Digest tree = {};
  std::vector<std::string> paths = {};  // Absolute, as they were given.
  std::string host = {};
  std::string user = {};
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::string> excludes = {};
  std::vector<std::string> tags = {};
  std::optional<Digest> original = {};
  std::string program_version = {};
  std::optional<SnapshotSummary> summary = {};

  bool is_partial() const { return std::find(tags.begin(), tags.end(), kPartialTag) != tags.end(); }
};

std::string text_of(const RepositoryConfig& config);
std::string text_of(const KeyFile& key);
std::string text_of(const Lock& lock);
std::string text_of(const Snapshot& snapshot);
// The master key as a key file holds it once opened.
std::string text_of(const MasterKey& key);

// Damaged: not what it should be. Unsupported: a version we do not know.
Outcome<RepositoryConfig> parse_config(std::string_view text);
Outcome<KeyFile> parse_key_file(std::string_view text);
Outcome<Lock> parse_lock(std::string_view text);
Outcome<Snapshot> parse_snapshot(std::string_view text);
Outcome<MasterKey> parse_master_key(std::string_view text);

}  // namespace recover::backup
