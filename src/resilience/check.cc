#include <cstdio>
#include <cstdlib>

#include <recover/check.h>

namespace recover::detail {

void check_failed(const char* file, int line, const char* what) noexcept {
  std::fprintf(stderr, "%s:%d: CHECK failed: %s\n", file, line, what);
  std::abort();
}

}  // namespace recover::detail
