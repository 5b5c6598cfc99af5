// How many bytes a second may go out and come in, over all connections of a store together.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>

#include <recover/token_bucket.h>

namespace recover::backup {

// Thread-safe. 0: no limit.
struct BandwidthLimits {
  std::uint64_t upload_kib_per_second = 0;
  std::uint64_t download_kib_per_second = 0;
};

class Bandwidth {
 public:
  explicit Bandwidth(const BandwidthLimits& limits = {});

  // Waits until so many bytes may go. Whoever asks more than a second's worth waits longer for it.
  void upload(std::size_t bytes) { pass(upload_, bytes); }
  void download(std::size_t bytes) { pass(download_, bytes); }

 private:
  struct Direction {
    std::optional<ratelimiter::TokenBucket> bucket;
    std::size_t change = 0;  // Bytes that were passed and not yet paid for: less than a KiB.
  };

  void pass(Direction& direction, std::size_t bytes);
  static Direction direction_of(std::uint64_t kib_per_second);

  std::mutex mutex_;
  Direction upload_;
  Direction download_;
};

}  // namespace recover::backup
