#include "apps/recoverctl/backup_progress.h"

#include <boost/json.hpp>

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <utility>

#include "apps/recoverctl/table.h"

namespace recover::apps {

namespace {
namespace json = boost::json;
}  // namespace

ProgressLine::ProgressLine(const Session& session, Text text, Status status) {
  if (session.json) {
    begin(std::chrono::seconds(1), [&session, status = std::move(status)](double seconds) {
      json::object message{{"message_type", "status"},
                           {"seconds_elapsed", static_cast<std::uint64_t>(seconds)}};
      for (const auto& field : status()) message[field.key()] = field.value();
      session.out << json::serialize(message) << "\n" << std::flush;
    });
  } else if (session.terminal.tty) {
    line_ = &session.err;
    begin(std::chrono::milliseconds(100), [&session, text = std::move(text)](double seconds) {
      session.err << "\r\x1b[K" << cut(text(seconds), session.terminal.width) << std::flush;
    });
  }
}

ProgressLine::~ProgressLine() {
  thread_ = {};
  if (line_ != nullptr) *line_ << "\r\x1b[K" << std::flush;
}

void ProgressLine::begin(std::chrono::milliseconds every,
                         std::function<void(double seconds)> tell) {
  thread_ = std::jthread([every, tell = std::move(tell)](const std::stop_token& stop) {
    const auto start = std::chrono::steady_clock::now();
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    while (!wake.wait_for(lock, stop, every, [] { return false; }) && !stop.stop_requested()) {
      tell(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
  });
}

double share_of(std::uint64_t done, std::uint64_t total) {
  return total == 0 ? 0 : static_cast<double>(done) / static_cast<double>(total);
}

}  // namespace recover::apps
