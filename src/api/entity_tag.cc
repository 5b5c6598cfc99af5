#include "api/entity_tag.h"

#include <algorithm>

#include "api/times.h"
#include "core/plan.h"

namespace recover::api {

std::string entity_tag(std::string_view body) {
  return '"' + hex64(core::fnv1a(body)) + '"';
}

bool holds_tag(std::string_view list, std::string_view tag) {
  while (!list.empty()) {
    const auto comma = list.find(',');
    std::string_view one = list.substr(0, comma);
    one.remove_prefix(std::min(one.find_first_not_of(' '), one.size()));
    one = one.substr(0, one.find_last_not_of(' ') + 1);
    if (one.starts_with("W/")) one.remove_prefix(2);
    if (one == "*" || one == tag) return true;
    if (comma == std::string_view::npos) break;
    list.remove_prefix(comma + 1);
  }
  return false;
}

}  // namespace recover::api
