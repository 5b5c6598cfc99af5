// What is noted of a checkpoint beside its snapshot, as one file: JSON, then a line `sha256:` with
// the digest of that JSON. The content is in the snapshot; here is what makes it a checkpoint.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <recover/result.h>

#include "adapters/checkpoint/file_system.h"
#include "ports/checkpoint_store.h"

namespace recover::adapters::checkpoint {

struct CheckpointRecord {
  ports::CheckpointInfo info = {};         // Without names.
  std::string snapshot = {};               // In the repository: 64 digits.
  std::string content = {};                // The same for the same state, whoever's and whenever.
  std::string fingerprint = {};            // Of a survey of this state; empty: look again.
  std::vector<std::string> absent = {};    // Covered paths that did not exist.
  std::vector<std::string> not_held = {};  // Left out.
};

std::string encode(const CheckpointRecord& record);
// Corrupt, naming `path`, for anything encode() did not write.
Result<CheckpointRecord, CheckpointError> decode(std::string_view text, const std::string& path);

// A digest over fields that cannot be taken for one another.
class FieldDigest {
 public:
  void add(std::string_view field);
  std::string id();  // 32 digits; once.

 private:
  Sha256 sha_;
};

// The body of a file that ends in its digest; empty: it is not that.
std::string_view body_of(std::string_view text);

}  // namespace recover::adapters::checkpoint
