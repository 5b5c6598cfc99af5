#include "api/event_stream.h"

#include <boost/json.hpp>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "api/handlers.h"
#include "api/json_response.h"
#include "api/problem.h"
#include "api/shapes.h"

namespace recover::api {

namespace {

std::optional<std::uint64_t> sequence_of(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole ? std::optional(value) : std::nullopt;
}

std::string told(const ports::StoredEntry& row) {
  return "id: " + std::to_string(row.sequence) + "\nevent: " + row.entry.type +
         "\ndata: " + boost::json::serialize(event_json(row)) + "\n\n";
}

}  // namespace

Result<EventStream, Response> EventStream::open(const Backend& backend, const Request& request) {
  const std::string_view asked = request.last_event_id.empty()
                                     ? request.parameter("after")
                                     : std::string_view(request.last_event_id);
  std::uint64_t after = 0;
  if (asked.empty()) {
    after = newest_sequence(backend);
  } else if (const auto sequence = sequence_of(asked)) {
    after = *sequence;
  } else {
    return Unexpected<Response>(
        problem(kBadRequest, "BAD_REQUEST", "?after= and Last-Event-ID must be an event's id"));
  }
  EventStream stream(backend, after);
  stream.check_gap_ = !asked.empty() && after > 0;
  stream.type_ = request.parameter("type");
  stream.service_ = request.parameter("service");
  return stream;
}

bool EventStream::wanted(const ports::StoredEntry& row) const {
  return row.entry.kind == ports::EntryKind::Notice && row.entry.type.starts_with(type_) &&
         (service_.empty() || row.entry.service == service_);
}

std::string EventStream::next() {
  std::string text;
  std::size_t batch = 0;
  std::size_t scanned = 0;
  const auto visited = backend_->journal->replay(after_ + 1, [&](const ports::StoredEntry& row) {
    if (check_gap_ && row.sequence > after_ + 1) {
      text += "event: gap\ndata: {\"oldest\":" + std::to_string(row.sequence) + "}\n\n";
    }
    check_gap_ = false;
    after_ = row.sequence;
    if (wanted(row)) {
      text += told(row);
      ++batch;
    }
    return batch < kBatchMax && ++scanned < kScanMax;
  });
  const bool told_already = std::exchange(failing_, !visited);
  if (visited || told_already) return text;
  return text + "event: error\ndata: {\"code\":\"JOURNAL_UNREADABLE\"}\n\n";
}

}  // namespace recover::api
