// Reads an index file's text of exactly the form that restic and we write, several times as fast as
// a general JSON parser. What deviates by a byte is refused: then that one decides (index_text.cc).
#pragma once

#include <optional>
#include <string_view>

#include "backup/format/pack.h"

namespace recover::backup {

// Refers to the text, which must outlive it.
class IndexScanner {
 public:
  explicit IndexScanner(std::string_view text);

  // The next pack in the text's order; none at its end, and where it deviates.
  std::optional<IndexedPack> next();
  // Whether next() found the whole text read.
  bool is_complete() const noexcept { return complete_; }

 private:
  bool take(std::string_view wanted);
  bool take_digest(Digest& to);
  bool take_number(std::string_view key, std::uint32_t& to);
  bool take_blob(BlobEntry& blob);

  std::string_view rest_;
  bool first_ = true;
  bool broken_ = false;
  bool complete_ = false;
};

}  // namespace recover::backup
