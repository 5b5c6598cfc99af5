// The fields of a JSON request body, checked: unknown ones and wrong types are refused by name.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <recover/result.h>

#include "api/request.h"

namespace recover::api {

// A flat JSON object: what every request body of this API is.
class Fields {
 public:
  // An empty body is an object without fields. Error: the 400 to answer.
  static Result<Fields, Response> parse(const Request& request,
                                        std::initializer_list<std::string_view> known);

  bool has(std::string_view name) const;
  // Empty when it is not there.
  std::string text(std::string_view name) const;
  // Written as a number or as digits; nothing when it is neither, negative, or not there.
  std::optional<std::uint32_t> whole(std::string_view name) const;
  std::optional<bool> truth(std::string_view name) const;

 private:
  std::map<std::string, std::variant<bool, std::string, std::int64_t>, std::less<>> values_;
};

}  // namespace recover::api
