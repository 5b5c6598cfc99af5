#include "apps/recoverctl/backup_telling.h"

#include "apps/recoverctl/table.h"

namespace recover::apps {

namespace json = boost::json;

std::string short_id(const backup::Digest& id) {
  return backup::hex(id).substr(0, kShortId);
}

std::string rate_text(std::uint64_t bytes, double seconds) {
  const auto total = static_cast<double>(bytes);
  return size_text(total) + ", " + size_text(seconds > 0 ? total / seconds : 0) + "/s";
}

json::array texts(const std::vector<std::string>& values) {
  json::array array;
  for (const std::string& value : values) array.emplace_back(value);
  return array;
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
