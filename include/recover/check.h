// CHECK: a bug in the program that uses or implements librecover stops it, always on.
//
// Operating errors are never checked this way: they are a Result.
#pragma once

namespace recover::detail {

// Writes "file:line: CHECK failed: what" to stderr and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* what) noexcept;

}  // namespace recover::detail

#define RECOVER_CHECK(condition)                                       \
  do {                                                                 \
    if (!(condition)) [[unlikely]] {                                   \
      ::recover::detail::check_failed(__FILE__, __LINE__, #condition); \
    }                                                                  \
  } while (false)

// The same for a configuration that a constructor REQUIRES to be valid: says which field is not.
#define RECOVER_CHECK_VALID(config)                                                         \
  do {                                                                                      \
    if (const auto valid = (config).validate(); !valid.has_value()) [[unlikely]] {          \
      ::recover::detail::check_failed(__FILE__, __LINE__, valid.error().message().c_str()); \
    }                                                                                       \
  } while (false)
