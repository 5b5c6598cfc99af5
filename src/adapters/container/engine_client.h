// Speaks HTTP with a container engine over its unix socket: single requests, and the endless stream
// of events.
//
// Knows the transport, not the meaning. A connection a request; answers are cut at kAnswerMax.
// Loop thread.
#pragma once

#include <boost/asio/io_context.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include <recover/result.h>
#include <recover/time.h>

namespace recover::adapters::container {

inline constexpr std::size_t kAnswerMax = 4U << 20U;
inline constexpr std::size_t kLineMax = 256U << 10U;

struct EngineAnswer {
  int status = 0;
  std::string body;
  std::string server;  // What it calls itself: "Docker/20.10.24 (linux)", "Libpod/4.3.1 (linux)".
};
// Error: why there is no answer.
using Answered = std::function<void(Result<EngineAnswer, std::string>)>;

// `answered` is called once, from a later turn, also when the deadline passes.
void request(boost::asio::io_context& loop, const std::string& socket, const char* method,
             const std::string& target, Duration limit, Answered answered);

// GET of a stream of lines; ends with its destruction.
class EngineStream {
 public:
  struct Hear {
    std::function<void()> opened;
    std::function<void(std::string_view line)> line;
    std::function<void(std::string why)> ended;  // Once, the last.
  };
  EngineStream(boost::asio::io_context& loop, const std::string& socket, const std::string& target,
               Hear hear);
  ~EngineStream();
  EngineStream(const EngineStream&) = delete;
  EngineStream& operator=(const EngineStream&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// For use within a target.
std::string percent_encoded(std::string_view text);

}  // namespace recover::adapters::container
