// What tail and maintail show, as bytes with offsets.
//
// A process has a log of what it printed, and one of stderr where that is kept apart; recoverd's
// own is the journal's latest events, a line each. Text is redacted before it comes here. Reads
// only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "api/backend.h"
#include "api/xmlrpc/process.h"

namespace recover::api::xmlrpc {

inline constexpr std::size_t kMainLogEventsMax = 1'000;

enum class Channel : std::uint8_t { Stdout, Stderr };
// It has such a log, and it can be read.
bool has_log(const Backend& backend, const Process& process, Channel channel);
// So many bytes there are of it.
std::int64_t log_end(const Backend& backend, const Process& process, Channel channel);

// As supervisord reads a file: from `offset`, `length` bytes or (0) the rest; a negative offset
// begins so many bytes before the end. Nothing: the arguments make no sense.
std::optional<std::string> read_process_log(const Backend& backend, const Process& process,
                                            Channel channel, std::int64_t offset,
                                            std::int64_t length);
std::optional<std::string> read_main_log(const Backend& backend, std::int64_t offset,
                                         std::int64_t length);

// What came since the last look; the first gives the last kFollowFirst bytes.
class Follow {
 public:
  static constexpr std::int64_t kFollowFirst = 1024;

  // Of recoverd itself.
  explicit Follow(const Backend& backend) : backend_(&backend) {}
  // Of a process: by names, since a reload may renumber.
  Follow(const Backend& backend, const Process& process, Channel channel)
      : backend_(&backend), process_(process.group + ":" + process.name), channel_(channel) {}

  // Nothing: there is no such process any more.
  std::optional<std::string> next();

 private:
  std::optional<std::string> next_output();
  std::string next_events();

  const Backend* backend_;
  std::string process_;  // Empty: recoverd.
  Channel channel_ = Channel::Stdout;
  bool begun_ = false;
  std::uint64_t position_ = 0;  // Bytes of output, or the sequence of the last event.
};

}  // namespace recover::api::xmlrpc
