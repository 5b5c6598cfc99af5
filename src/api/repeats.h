// Requests that were made before: the same Idempotency-Key with the same request gets the answer it
// got the first time, and nothing is done again.
//
// What was answered is a row of the journal, so a key is remembered over a crash of ours. Refuses a
// key that comes with another request (422) or while the first is still being answered (409).
// Bounded: kKeptMax keys, kKeptFor.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "api/backend.h"
#include "api/request.h"

namespace recover::api {

class Repeats {
 public:
  static constexpr std::size_t kKeptMax = 1'000;
  static constexpr std::size_t kKeyMax = 255;           // Bytes.
  static constexpr std::size_t kAnswerMax = 64U << 10;  // Longer answers are not kept.
  static constexpr Duration kKeptFor = std::chrono::hours{24};

  // Dispatches, unless it was answered before. Loop thread; outlives its replies.
  void dispatch(const Backend& backend, Request request, const Reply& reply);

 private:
  struct Known {
    std::uint64_t request = 0;         // Hash of method, target and body.
    std::optional<Response> response;  // None: being answered.
    std::int64_t wall_ns = 0;
  };
  using Key = std::pair<std::string, std::string>;  // Who, and their key.

  void read_journal(const Backend& backend);
  void forget_old(std::int64_t now);
  void keep(const Backend& backend, const Key& key, Known known);

  bool read_ = false;
  std::map<Key, Known> known_;
};

}  // namespace recover::api
