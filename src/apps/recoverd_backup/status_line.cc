#include "apps/recoverd_backup/status_line.h"

#include <boost/json.hpp>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

namespace recover::apps {

StatusLine::StatusLine(std::ostream& out, std::function<boost::json::object()> status)
    : thread_([&out, status = std::move(status)](const std::stop_token& stop) {
        std::mutex mutex;
        std::condition_variable_any wake;
        std::unique_lock lock(mutex);
        while (!wake.wait_for(lock, stop, std::chrono::seconds(1), [] { return false; }) &&
               !stop.stop_requested()) {
          boost::json::object message{{"message_type", "status"}};
          for (const auto& field : status()) message[field.key()] = field.value();
          out << boost::json::serialize(message) << "\n" << std::flush;
        }
      }) {}

}  // namespace recover::apps
