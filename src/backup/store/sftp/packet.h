// Packets of the SSH File Transfer Protocol, version 3 (draft-ietf-secsh-filexfer-02), which is
// what OpenSSH speaks. Reading refuses what is cut off; nothing is believed about a length.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "backup/crypto/bytes.h"

namespace recover::backup::sftp {

enum class Type : std::uint8_t {
  Init = 1,
  Version = 2,
  Open = 3,
  Close = 4,
  Read = 5,
  Write = 6,
  Lstat = 7,
  Fstat = 8,
  Setstat = 9,
  Fsetstat = 10,
  Opendir = 11,
  Readdir = 12,
  Remove = 13,
  Mkdir = 14,
  Stat = 17,
  Rename = 18,
  Status = 101,
  Handle = 102,
  Data = 103,
  Name = 104,
  Attrs = 105,
  Extended = 200,
  ExtendedReply = 201,
};

// Status codes.
inline constexpr std::uint32_t kOk = 0;
inline constexpr std::uint32_t kEof = 1;
inline constexpr std::uint32_t kNoSuchFile = 2;
inline constexpr std::uint32_t kPermissionDenied = 3;
inline constexpr std::uint32_t kFailure = 4;
inline constexpr std::uint32_t kNoConnection = 6;
inline constexpr std::uint32_t kConnectionLost = 7;
inline constexpr std::uint32_t kUnsupported = 8;

// A file's mode follows (draft-ietf-secsh-filexfer-02, 5).
inline constexpr std::uint32_t kHasMode = 4;

// Flags of Open.
inline constexpr std::uint32_t kOpenRead = 1;
inline constexpr std::uint32_t kOpenWrite = 2;
inline constexpr std::uint32_t kOpenCreate = 8;
inline constexpr std::uint32_t kOpenExclusive = 32;

// A packet larger than this is no answer of a sound server (OpenSSH's own bound is 256 KiB).
inline constexpr std::uint32_t kPacketBytesMax = 1U << 20U;

// The payload of a request, field by field.
class Fields {
 public:
  Fields& add(std::uint32_t value);
  Fields& add_long(std::uint64_t value);
  Fields& add(std::string_view text);
  Fields& add(View bytes) { return add(text_of(bytes)); }

  const Bytes& bytes() const noexcept { return bytes_; }

 private:
  Bytes bytes_;
};

// Reads fields; after one that was not there, is_good() is false and all that follow are zero.
class FieldReader {
 public:
  explicit FieldReader(View bytes) : rest_(bytes) {}

  std::uint32_t number();
  std::uint64_t long_number();
  View text();
  bool is_good() const noexcept { return good_; }
  bool is_empty() const noexcept { return rest_.empty(); }

 private:
  View take(std::size_t length);

  View rest_;
  bool good_ = true;
};

struct Attributes {
  std::optional<std::uint64_t> size;
  std::optional<std::uint32_t> mode;
  std::optional<std::uint32_t> mtime;  // Seconds since 1970 UTC.

  static Attributes read(FieldReader& fields);
  // Whether it says to be a file; one that does not say is believed to be one.
  bool may_be_file() const noexcept;
  bool is_folder() const noexcept;
};

}  // namespace recover::backup::sftp
