// XML-RPC on the wire: a call read, an answer written.
//
// Refuses document types, so no entity is ever expanded, and what is too deep or has too many
// values. Bytes that XML cannot carry are written as '?'. expat reads; its parser never leaves
// here.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <recover/result.h>

#include "api/xmlrpc/value.h"

namespace recover::api::xmlrpc {

inline constexpr std::size_t kElementsDeepMax = 64;
inline constexpr std::size_t kElementsMax = 100'000;  // Of one call.

struct Call {
  std::string method;
  Array parameters;
};

// Error: why it is no call.
Result<Call, std::string> read_call(std::string_view xml);

// A methodResponse. Numbers beyond 32 bits are capped, as the format has no others.
std::string write(const Outcome& outcome);

}  // namespace recover::api::xmlrpc
