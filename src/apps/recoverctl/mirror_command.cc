// The members of a mirror: which of them lack something, and bringing it to them.
#include <boost/json.hpp>

#include "api/times.h"
#include "apps/recoverctl/backup_commands.h"
#include "apps/recoverctl/mirror_file.h"
#include "apps/recoverctl/repository_access.h"
#include "apps/recoverctl/table.h"

namespace recover::apps {
namespace {

namespace json = boost::json;

std::string_view state_of(const backup::MemberStatus& member) {
  if (!member.behind) return "sound";
  return member.later ? "later" : "behind";
}

json::object member_json(const backup::MemberStatus& member) {
  json::object object{
      {"name", member.name}, {"location", member.location}, {"state", state_of(member)}};
  if (member.behind) {
    object["why"] = member.why;
    object["since"] = member.since;
  }
  return object;
}

}  // namespace

void catch_up_mirror(const Session& session, backup::Store& store) {
  auto* const mirror = dynamic_cast<backup::MirrorStore*>(&store);
  if (mirror == nullptr) return;
  for (const std::string& problem : mirror->catch_up({}).problems) {
    session.err << "recoverctl: a member of the mirror stays behind: " << problem << "\n";
  }
}

Command backup_mirror_command(RepositoryWish wish, bool catches_up, bool refill) {
  return [wish = std::move(wish), catches_up, refill](const Session& session) {
    const StopOnSignal stop;
    const auto store = store_of(wish);
    auto* const mirror = dynamic_cast<backup::MirrorStore*>(store.get());
    if (mirror == nullptr) {
      throw Failure(Exit::Usage, "USAGE", store->location() + ": not a mirror; --repo mirror:NAME");
    }
    backup::CatchUpReport report;
    if (catches_up || refill) report = mirror->catch_up({.refill = refill});
    json::array members;
    Table table({"MEMBER", "STATE", "LOCATION", "WHY"});
    bool all_sound = true;
    for (const backup::MemberStatus& member : mirror->status()) {
      members.push_back(member_json(member));
      table.add({{member.name},
                 {std::string(state_of(member))},
                 {member.location},
                 {member.behind ? member.why : "-"}});
      all_sound = all_sound && (!member.behind || member.later);
    }
    json::array problems;
    for (const std::string& problem : report.problems) problems.emplace_back(problem);
    const json::object document{{"members", std::move(members)},
                                {"copied_files", report.files},
                                {"copied_bytes", report.bytes},
                                {"removed_files", report.removed},
                                {"problems", std::move(problems)}};
    session.show(document, [&](const json::object&) {
      session.print(table);
      if (report.files + report.removed > 0) {
        session.out << "copied " << report.files << " files, removed " << report.removed << "\n";
      }
      for (const std::string& problem : report.problems) session.err << problem << "\n";
    });
    return report.problems.empty() && all_sound ? Exit::Done : Exit::Failed;
  };
}

}  // namespace recover::apps
