// Backups: how each type stands, asking for a run, and what became of one.
#include <boost/json.hpp>

#include <algorithm>
#include <charconv>
#include <string>

#include "api/fields.h"
#include "api/handlers.h"
#include "api/json_response.h"
#include "api/problem.h"
#include "api/routes.h"
#include "api/times.h"

namespace recover::api {

namespace json = boost::json;

namespace {

constexpr std::size_t kDrillsShown = 100;

json::value when(std::int64_t seconds) {
  if (seconds == 0) return nullptr;
  return json::string(rfc3339(seconds * 1'000'000'000));
}

std::string_view health_name(core::BackupHealth health) {
  switch (health) {
    case core::BackupHealth::Unknown: return "unknown";
    case core::BackupHealth::Good: return "healthy";
    case core::BackupHealth::Bad: return "unhealthy";
  }
  return "unknown";
}

json::object verdict_json(const core::BackupVerdict& verdict) {
  return {
      {"state", health_name(verdict.health)}, {"code", verdict.code}, {"detail", verdict.detail}};
}

std::string_view state_of(const core::BackupRecord& record) {
  if (record.owed && record.owed->started_at != 0) return "running";
  if (record.owed) return record.owed->attempts > 0 ? "retrying" : "waiting";
  if (record.given_up) return "failed";
  return record.succeeded_at != 0 ? "succeeded" : "never";
}

json::object task_json(const ports::BackupTaskView& view) {
  const core::BackupRecord& record = view.record;
  json::object task{{"task", core::to_string(view.task)},
                    {"subject", view.subject},
                    {"state", state_of(record)},
                    {"next_due", when(view.next_due)},
                    {"overdue_after", when(view.overdue_after)},
                    {"last_success", when(record.succeeded_at)},
                    {"last_success_began", when(record.succeeded_from)},
                    {"last_success_run", record.succeeded_run}};
  if (record.owed) {
    task["run"] = record.owed->run;
    task["attempts"] = record.owed->attempts;
    task["due_at"] = when(record.owed->due);
    task["started_at"] = when(record.owed->started_at);
    task["retry_at"] = when(record.owed->retry_at);
  }
  if (record.fault) {
    task["failed_at"] = when(record.fault->at);
    task["code"] = record.fault->code;
    task["error"] = record.fault->error;
    task["failed_run"] = record.fault->run;
  }
  if (record.rpo_seconds >= 0) task["rpo_seconds"] = record.rpo_seconds;
  if (record.rto_seconds >= 0) task["rto_seconds"] = record.rto_seconds;
  if (!view.progress.empty()) task["progress"] = json::parse(view.progress);
  return task;
}

json::object protection_json(const ports::BackupProtectionView& view) {
  const auto number = [](const std::optional<double>& value) {
    return value ? json::value(*value) : json::value(nullptr);
  };
  return {{"state", view.state},
          {"feed", view.feed},
          {"feed_trouble", view.feed_trouble},
          {"rpo_wanted_seconds", view.wanted_seconds},
          {"rpo_last_seconds", number(view.last_seconds)},
          {"rpo_worst_seconds", number(view.worst_seconds)},
          {"rpo_missed", view.is_missed},
          {"exposed_seconds", view.exposed_seconds},
          {"changes_waiting", view.changes_waiting},
          {"restarts", view.restarts},
          {"error", view.error}};
}

json::object type_json(const ports::BackupTypeView& view, std::int64_t now) {
  using core::BackupHealth;
  const bool bad = view.made.health == BackupHealth::Bad || view.proven.health == BackupHealth::Bad;
  json::object type{{"name", view.name},
                    {"repository", view.repository},
                    {"priority", core::to_string(view.priority)},
                    {"state", health_name(bad ? BackupHealth::Bad : view.made.health)},
                    {"made", verdict_json(view.made)},
                    {"proven", verdict_json(view.proven)},
                    {"last_success", when(view.succeeded_from)},
                    {"proven_at", when(view.proven_at)}};
  // How much would be lost if all were lost now.
  type["rpo_seconds"] =
      view.succeeded_from == 0 ? json::value(nullptr) : json::value(now - view.succeeded_from);
  type["rpo_wanted_seconds"] =
      view.rpo_wanted ? json::value(*view.rpo_wanted) : json::value(nullptr);
  type["rto_wanted_seconds"] = view.rto_wanted;
  if (view.protection) type["protection"] = protection_json(*view.protection);
  if (!view.members.empty()) {
    json::array members;
    for (const auto& member : view.members) {
      members.push_back(json::object{{"name", member.name},
                                     {"location", member.location},
                                     {"state", member.state},
                                     {"why", member.why},
                                     {"since", when(member.since)},
                                     {"too_long", member.is_failure}});
    }
    type["members"] = std::move(members);
  }
  json::array tasks;
  for (const ports::BackupTaskView& task : view.tasks) tasks.push_back(task_json(task));
  type["tasks"] = std::move(tasks);
  return type;
}

Response no_type(const ports::BackupDesk& desk, const std::string& name) {
  std::string known;
  for (const auto& type : desk.types()) known += (known.empty() ? "" : ", ") + type.name;
  return problem(kNotFound, "BACKUP_NOT_FOUND",
                 "there is no backup \"" + name +
                     "\"; the configuration has: " + (known.empty() ? "none" : known));
}

}  // namespace

Response list_backups(const Backend& backend, const Request& /*request*/) {
  if (backend.backups == nullptr) return not_available("the runner of backups");
  json::array all;
  for (const auto& type : backend.backups->types()) {
    all.push_back(type_json(type, backend.backups->now()));
  }
  return json_response({{"backups", std::move(all)}});
}

Response get_backup(const Backend& backend, const Request& request) {
  if (backend.backups == nullptr) return not_available("the runner of backups");
  const std::string& name = request.arguments.at(0);
  for (const auto& type : backend.backups->types()) {
    if (type.name == name) return json_response(type_json(type, backend.backups->now()));
  }
  return no_type(*backend.backups, name);
}

Response list_drills(const Backend& backend, const Request& request) {
  if (backend.backups == nullptr) return not_available("the runner of backups");
  const auto wanted = request.query.find("name");
  json::array drills;
  for (const std::string& body : backend.backups->drills(kDrillsShown)) {
    boost::system::error_code error;
    json::value report = json::parse(body, error);
    if (error || !report.is_object()) continue;
    const json::value* const name = report.get_object().if_contains("name");
    const bool fits = wanted == request.query.end() || (name != nullptr && name->is_string() &&
                                                        name->get_string() == wanted->second);
    if (fits) drills.push_back(std::move(report));
  }
  return json_response({{"drills", std::move(drills)}});
}

Response run_backup(const Backend& backend, const Request& request) {
  const auto fields = Fields::parse(request, {"task", "full"});
  if (!fields) return fields.error();
  if (backend.backups == nullptr) return not_available("the runner of backups");
  const std::string named = fields->text("task");
  auto task = core::parse_backup_task(named);
  if (named.empty() || named == "backup") {
    task = fields->truth("full").value_or(false) ? core::BackupTask::Full
                                                 : core::BackupTask::Incremental;
  }
  if (!task) {
    return problem(kBadRequest, "BAD_REQUEST",
                   "\"task\" must be backup, full, incremental, verify, restore-test, "
                   "drill or catch-up");
  }
  const std::string& name = request.arguments.at(0);
  const auto run = backend.backups->request(name, *task, request.caller.actor);
  if (!run) return no_type(*backend.backups, name);
  const std::string poll = std::string(kPrefix) + "/backups/runs/" + std::to_string(*run);
  Response response = json_response({{"accepted", true},
                                     {"name", name},
                                     {"task", core::to_string(*task)},
                                     {"run", *run},
                                     {"poll", poll}},
                                    kAccepted);
  response.headers.emplace_back("Location", poll);
  return response;
}

Response get_backup_run(const Backend& backend, const Request& request) {
  if (backend.backups == nullptr) return not_available("the runner of backups");
  const std::string& text = request.arguments.at(0);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_number = error == std::errc() && end == text.data() + text.size();
  const auto run = is_number ? backend.backups->run(number) : std::nullopt;
  if (!run) {
    return problem(kNotFound, "BACKUP_RUN_NOT_FOUND",
                   "there is no run " + text + ", or its report is no longer kept");
  }
  Response response;
  response.body = run->body;
  return response;
}

}  // namespace recover::api
