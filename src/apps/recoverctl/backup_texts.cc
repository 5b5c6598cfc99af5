#include "apps/recoverctl/backup_texts.h"

#include <boost/json.hpp>

#include <chrono>

#include "api/times.h"
#include "apps/recoverctl/failure.h"
#include "apps/recoverctl/table.h"

namespace recover::apps {

namespace json = boost::json;
using backup::Repository;

namespace {
constexpr std::size_t kShortId = 8;
}  // namespace

std::string time_text(const backup::Timestamp& time) {
  std::string text;
  backup::append_json_time(text, time);
  return text.substr(1, text.size() - 2);
}

std::string short_id(const backup::Digest& id) {
  return backup::hex(id).substr(0, kShortId);
}

json::array texts(const std::vector<std::string>& values) {
  json::array array;
  for (const std::string& value : values) array.emplace_back(value);
  return array;
}

json::object snapshot_json(const Repository::FoundSnapshot& found) {
  const backup::Snapshot& snapshot = found.snapshot;
  return {{"id", backup::hex(found.id)},      {"short_id", short_id(found.id)},
          {"time", time_text(snapshot.time)}, {"hostname", snapshot.host},
          {"username", snapshot.user},        {"tree", backup::hex(snapshot.tree)},
          {"paths", texts(snapshot.paths)},   {"tags", texts(snapshot.tags)}};
}

std::int64_t seconds_of(const std::string& option, const std::string& duration) {
  if (duration.empty()) return 0;
  const auto time = api::parse_duration(duration);
  if (!time) throw Failure(Exit::Usage, "USAGE", option + " must be a duration such as 36h or 7d");
  return std::chrono::duration_cast<std::chrono::seconds>(*time).count();
}

std::string rate_text(std::uint64_t bytes, double seconds) {
  const auto total = static_cast<double>(bytes);
  return size_text(total) + ", " + size_text(seconds > 0 ? total / seconds : 0) + "/s";
}

void tell_problems(const Session& session, const std::vector<std::string>& problems,
                   std::uint64_t count) {
  if (session.json) return;
  for (const std::string& problem : problems) {
    session.err << "recoverctl: " << printable(problem) << "\n";
  }
  if (count > problems.size()) {
    session.err << "recoverctl: and " << count - problems.size() << " more\n";
  }
}

Exit exit_of(bool well) {
  return well ? Exit::Done : Exit::Failed;
}

}  // namespace recover::apps
