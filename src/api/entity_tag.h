// Entity tags: whether what a caller saw is still what there is (RFC 9110, section 8.8.3).
#pragma once

#include <string>
#include <string_view>

namespace recover::api {

// A strong tag of exactly these bytes, quoted.
std::string entity_tag(std::string_view body);
// Whether a list of tags, as in If-Match or If-None-Match, holds it; "*" holds every one.
bool holds_tag(std::string_view list, std::string_view tag);

}  // namespace recover::api
