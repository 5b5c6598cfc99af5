// Says once a second how a job goes, while it lives.
#pragma once

#include <boost/json/object.hpp>

#include <functional>
#include <ostream>
#include <thread>

namespace recover::apps {

class StatusLine {
 public:
  // REQUIRES: nobody else writes to `out` meanwhile. `status` is called on a thread of its own.
  StatusLine(std::ostream& out, std::function<boost::json::object()> status);
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;
  ~StatusLine() = default;

 private:
  std::jthread thread_;
};

}  // namespace recover::apps
