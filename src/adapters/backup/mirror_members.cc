#include "adapters/backup/mirror_members.h"

#include <boost/json.hpp>

#include <exception>

#include "adapters/backup/job_text.h"
#include "adapters/backup/whole_file.h"

namespace recover::adapters::backup {
namespace {

namespace json = boost::json;

// Throws what boost::json throws of what is not as it should be.
void read_state(const json::object& from, ports::BackupMemberView& view) {
  const bool is_behind = from.at("behind").as_bool();
  view.since = from.at("since").to_number<std::int64_t>();
  if (view.state != "later") view.state = is_behind ? "behind" : "sound";
  if (is_behind) view.why = json::value_to<std::string>(from.at("why"));
}

}  // namespace

std::vector<ports::BackupMemberView> members_of(const core::BackupRepository& repository,
                                                const std::string& folder, std::int64_t now) {
  std::vector<ports::BackupMemberView> views;
  if (repository.mirror.empty()) return views;
  const auto text = read_whole(mirror_state_path(folder, repository.name));
  boost::system::error_code error;
  const json::value document = text ? json::parse(*text, error) : json::value();
  const std::int64_t grace =
      std::chrono::duration_cast<std::chrono::seconds>(repository.mirror_grace).count();
  for (const core::BackupMember& member : repository.mirror) {
    ports::BackupMemberView view;
    view.name = member.name;
    view.location = member.location;
    view.state = member.later ? "later" : "unknown";
    try {
      read_state(document.as_object().at("members").as_object().at(member.name).as_object(), view);
      const bool lacks = view.state == "behind" || view.state == "later";
      view.is_failure = lacks && view.since != 0 && now - view.since > grace;
    } catch (const std::exception&) {
      view.why = "nothing was written yet";
    }
    views.push_back(std::move(view));
  }
  return views;
}

}  // namespace recover::adapters::backup
