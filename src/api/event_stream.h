// One client's place in the stream of events (server-sent events, Last-Event-ID to resume).
//
// Pulls from the journal in small batches, so a slow client costs one batch of memory and nobody
// else's time. An id that retention has removed is answered with a `gap` event first.
#pragma once

#include <cstdint>
#include <string>

#include <recover/result.h>

#include "api/backend.h"
#include "api/request.h"

namespace recover::api {

class EventStream {
 public:
  static constexpr std::size_t kBatchMax = 64;    // Events in one write.
  static constexpr std::size_t kScanMax = 1'000;  // Journal rows looked at for one batch.

  // After ?after= or Last-Event-ID; with neither, from now on. Error: the 400 to answer.
  static Result<EventStream, Response> open(const Backend& backend, const Request& request);

  // The next events as text/event-stream; empty when there is nothing new.
  std::string next();

 private:
  EventStream(const Backend& backend, std::uint64_t after) : backend_(&backend), after_(after) {}
  bool wanted(const ports::StoredEntry& row) const;

  const Backend* backend_;
  std::uint64_t after_;  // Sequence told last.
  bool check_gap_ = false;
  bool failing_ = false;  // Said once, until it works again.
  std::string type_;
  std::string service_;
};

}  // namespace recover::api
