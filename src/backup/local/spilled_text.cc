#include "backup/local/spilled_text.h"

#include <algorithm>
#include <utility>

#include "backup/local/file.h"

namespace recover::backup {

std::optional<SpilledText> SpilledText::open(const std::string& folder) {
  SpilledText text;
  if (!folder.empty()) text.file_ = open_nameless(folder);
  if (!text.file_) return std::nullopt;
  return text;
}

bool SpilledText::append(std::string_view text) {
  buffer_ += text;
  return buffer_.size() < kPieceBytes ? good_ : flush();
}

bool SpilledText::flush() {
  good_ = good_ && write_all(file_.get(), view_of(buffer_));
  written_ += buffer_.size();
  buffer_.clear();
  return good_;
}

bool SpilledText::each_piece(const std::function<bool(View)>& use) const {
  Bytes piece(std::min<std::uint64_t>(kPieceBytes, written_));
  for (std::uint64_t at = 0; at < written_;) {
    const auto room = std::span(piece).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), written_ - at)));
    if (read_up_to(file_.get(), at, room) != static_cast<ssize_t>(room.size())) return false;
    if (!use(room)) return false;
    at += room.size();
  }
  return true;
}

std::optional<Bytes> SpilledText::part(std::uint64_t offset, std::uint64_t length) const {
  const std::uint64_t there = offset < written_ ? std::min(length, written_ - offset) : 0;
  Bytes bytes(static_cast<std::size_t>(there));
  if (read_up_to(file_.get(), offset, bytes) != static_cast<ssize_t>(there)) return std::nullopt;
  return bytes;
}

std::optional<MappedRegion> SpilledText::map() const {
  return MappedRegion::map(file_.get(), static_cast<std::size_t>(written_),
                           MappedRegion::Access::Read);
}

}  // namespace recover::backup
