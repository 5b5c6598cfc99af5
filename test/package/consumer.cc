// A program of somebody else: links the library and calls into its compiled part.
#include <chrono>
#include <cstdio>

#include <recover/error.h>
#include <recover/time.h>

int main() {
  using namespace std::chrono_literals;
  recover::ManualClock clock;
  const recover::Instant start = clock.now();
  clock.wait_until(start + 5s, {});
  if (clock.now() - start != 5s) return 1;

  const recover::Error error =
      recover::Rejection{.kind = recover::ErrorKind::BulkheadFull, .retry_after = 250ms};
  std::printf("%s\n", error.to_string().c_str());
  return error.retry_after() == 250ms ? 0 : 1;
}
