// Standard base64 with padding (RFC 4648, section 4).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "backup/crypto/bytes.h"

namespace recover::backup {

std::string base64(View bytes);
std::optional<Bytes> parse_base64(std::string_view text);

}  // namespace recover::backup
