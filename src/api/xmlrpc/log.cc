#include "api/xmlrpc/log.h"

#include <boost/json.hpp>

#include <algorithm>
#include <limits>
#include <utility>

#include "api/times.h"
#include "api/xmlrpc/endpoint.h"

namespace recover::api::xmlrpc {
namespace {

constexpr auto kEnd = std::numeric_limits<std::uint64_t>::max();

// "2026-01-31T12:00:00.000Z low service:recovered web: it is well again"
std::string line_of(const ports::StoredEntry& row) {
  std::string line = rfc3339(row.entry.wall_ns) + " " + row.entry.type;
  boost::system::error_code error;
  const boost::json::value body = boost::json::parse(row.entry.body, error);
  const auto* object = error ? nullptr : body.if_object();
  const auto word = [&](const char* key) -> std::string {
    const auto* found = object != nullptr ? object->if_contains(key) : nullptr;
    return found != nullptr && found->is_string() ? std::string(found->as_string()) : std::string();
  };
  if (!row.entry.service.empty()) line += " " + row.entry.service;
  line += ": " + word("message");
  if (const std::string actor = word("actor"); !actor.empty()) line += " (" + actor + ")";
  std::ranges::replace(line, '\n', ' ');
  return line + "\n";
}

std::string lines_of(const Backend& backend, const ports::Filter& filter, std::uint64_t* last) {
  const auto rows = backend.journal->find(filter);
  std::string text;
  if (!rows) return text;
  for (const ports::StoredEntry& row : *rows) {
    text += line_of(row);
    if (last != nullptr) *last = row.sequence;
  }
  return text;
}

ports::Filter latest_events() {
  ports::Filter filter;
  filter.kind = ports::EntryKind::Notice;
  filter.limit = kMainLogEventsMax;
  return filter;
}

bool sensible(std::int64_t offset, std::int64_t length) {
  return offset < 0 ? length == 0 : length >= 0;
}

Output output_of(const Backend& backend, const Process& process, Channel channel,
                 std::uint64_t from, std::size_t bytes) {
  const auto& output = channel == Channel::Stdout ? backend.output : backend.error_output;
  if (!output) return {};
  return output(process.service, process.instance, from, bytes);
}

}  // namespace

bool has_log(const Backend& backend, const Process& process, Channel channel) {
  const auto& spec = backend.engine().policy().service(process.service).spec;
  const auto* run = std::get_if<core::RunSpec>(&spec);
  if (run == nullptr) return false;
  if (channel == Channel::Stdout) return static_cast<bool>(backend.output);
  return run->output.errors && backend.error_output;
}

std::int64_t log_end(const Backend& backend, const Process& process, Channel channel) {
  return static_cast<std::int64_t>(output_of(backend, process, channel, 0, 0).end);
}

std::optional<std::string> read_process_log(const Backend& backend, const Process& process,
                                            Channel channel, std::int64_t offset,
                                            std::int64_t length) {
  if (!sensible(offset, length)) return std::nullopt;
  const auto most = [](std::int64_t wanted) {
    return std::min(static_cast<std::size_t>(wanted), kLogBytesMax);
  };
  if (offset >= 0) {
    return output_of(backend, process, channel, static_cast<std::uint64_t>(offset),
                     length == 0 ? kLogBytesMax : most(length))
        .text;
  }
  // INT64_MIN has no positive twin.
  const std::size_t bytes = most(-std::max<std::int64_t>(offset, -1'000'000'000));
  const std::uint64_t end = output_of(backend, process, channel, kEnd, 0).end;
  return output_of(backend, process, channel, end - std::min<std::uint64_t>(end, bytes), bytes)
      .text;
}

std::optional<std::string> read_main_log(const Backend& backend, std::int64_t offset,
                                         std::int64_t length) {
  if (!sensible(offset, length)) return std::nullopt;
  std::string text = lines_of(backend, latest_events(), nullptr);
  if (offset < 0) {
    const auto bytes = static_cast<std::size_t>(-std::max<std::int64_t>(offset, -1'000'000'000));
    return text.size() > bytes ? text.substr(text.size() - bytes) : text;
  }
  const auto begin = std::min(static_cast<std::size_t>(offset), text.size());
  return text.substr(begin, length == 0 ? std::string::npos : static_cast<std::size_t>(length));
}

std::optional<std::string> Follow::next() {
  return process_.empty() ? next_events() : next_output();
}

std::optional<std::string> Follow::next_output() {
  constexpr std::size_t kChunk = 64U << 10U;
  const auto found = find_process(backend_->engine(), process_);
  if (!found || !found->process) return std::nullopt;
  const std::uint64_t end = output_of(*backend_, *found->process, channel_, kEnd, 0).end;
  if (!std::exchange(begun_, true)) {
    position_ = end - std::min<std::uint64_t>(end, kFollowFirst);
  }
  if (end < position_) position_ = 0;  // It was started anew, cleared or rotated.
  if (end == position_) return std::string();
  Output output = output_of(*backend_, *found->process, channel_, position_, kChunk);
  position_ = std::min(output.begin + kChunk, output.end);
  return std::move(output.text);
}

std::string Follow::next_events() {
  if (!std::exchange(begun_, true)) {
    const std::string text = lines_of(*backend_, latest_events(), &position_);
    const std::size_t begin = text.size() - std::min<std::size_t>(text.size(), kFollowFirst);
    return text.substr(begin);
  }
  ports::Filter filter = latest_events();
  filter.after = position_;
  filter.oldest = true;
  return lines_of(*backend_, filter, &position_);
}

}  // namespace recover::api::xmlrpc
