// A text that is too long to be held: written once from begin to end to a file without a name, read
// any number of times piece by piece, or in place.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "backup/crypto/bytes.h"
#include "backup/local/mapped_region.h"

namespace recover::backup {

class SpilledText {
 public:
  // None: the folder is no use.
  static std::optional<SpilledText> open(const std::string& folder);

  // False, and so from then on: the disk is full.
  bool append(std::string_view text);
  // What is buffered, too, is in the file.
  bool flush();
  std::uint64_t size() const noexcept { return written_ + buffer_.size(); }

  // Calls `use` with the whole text, piece by piece, until it says no: then false, and when the
  // file cannot be read. REQUIRES: flush() came last.
  bool each_piece(const std::function<bool(View)>& use) const;
  // The same as what others take. REQUIRES: the same; it refers to this.
  Pieces pieces() const {
    return {.size = written_,
            .each = [this](const std::function<bool(View)>& use) { return each_piece(use); }};
  }
  // `length` bytes from `offset`, or as many as there are. None: it cannot be read.
  std::optional<Bytes> part(std::uint64_t offset, std::uint64_t length) const;
  // REQUIRES: the same, and that it is not empty.
  std::optional<MappedRegion> map() const;

 private:
  static constexpr std::size_t kPieceBytes = std::size_t{1} << 20U;

  posix::Descriptor file_;
  std::string buffer_;
  std::uint64_t written_ = 0;
  bool good_ = true;
};

}  // namespace recover::backup
