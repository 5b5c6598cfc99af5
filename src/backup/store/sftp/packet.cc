#include "backup/store/sftp/packet.h"

#include <sys/stat.h>

namespace recover::backup::sftp {
namespace {

// Which attributes follow (draft-ietf-secsh-filexfer-02, 5).
constexpr std::uint32_t kHasSize = 1;
constexpr std::uint32_t kHasOwner = 2;
constexpr std::uint32_t kHasTimes = 8;
constexpr std::uint32_t kHasExtended = 0x80000000U;
constexpr std::uint32_t kExtendedMax = 64;

}  // namespace

Fields& Fields::add(std::uint32_t value) {
  for (unsigned shift = 32; shift > 0; shift -= 8) {
    bytes_.push_back(static_cast<std::uint8_t>(value >> (shift - 8)));
  }
  return *this;
}

Fields& Fields::add_long(std::uint64_t value) {
  return add(static_cast<std::uint32_t>(value >> 32U)).add(static_cast<std::uint32_t>(value));
}

Fields& Fields::add(std::string_view text) {
  add(static_cast<std::uint32_t>(text.size()));
  append(bytes_, view_of(text));
  return *this;
}

View FieldReader::take(std::size_t length) {
  good_ = good_ && length <= rest_.size();
  if (!good_) return {};
  const View taken = rest_.first(length);
  rest_ = rest_.subspan(length);
  return taken;
}

std::uint32_t FieldReader::number() {
  std::uint32_t value = 0;
  for (const std::uint8_t byte : take(4)) value = (value << 8U) | byte;
  return value;
}

std::uint64_t FieldReader::long_number() {
  const std::uint64_t high = number();
  return (high << 32U) | number();
}

View FieldReader::text() {
  return take(number());
}

Attributes Attributes::read(FieldReader& fields) {
  Attributes found;
  const std::uint32_t flags = fields.number();
  if ((flags & kHasSize) != 0) found.size = fields.long_number();
  if ((flags & kHasOwner) != 0) fields.long_number();
  if ((flags & kHasMode) != 0) found.mode = fields.number();
  if ((flags & kHasTimes) != 0) {
    fields.number();  // atime
    found.mtime = fields.number();
  }
  if ((flags & kHasExtended) == 0) return found;
  const std::uint32_t count = fields.number();
  for (std::uint32_t i = 0; i < count && i < kExtendedMax && fields.is_good(); ++i) {
    fields.text();
    fields.text();
  }
  return found;
}

bool Attributes::may_be_file() const noexcept {
  return !mode || S_ISREG(*mode);
}

bool Attributes::is_folder() const noexcept {
  return mode && S_ISDIR(*mode);
}

}  // namespace recover::backup::sftp
