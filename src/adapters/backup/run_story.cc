#include "adapters/backup/run_story.h"

#include <boost/json.hpp>

#include <array>
#include <cstdio>
#include <exception>

#include "base/duration_text.h"
#include "base/rfc3339.h"
#include "base/size_text.h"
#include "base/utf8.h"

namespace recover::adapters::backup {
namespace {

namespace json = boost::json;

constexpr std::size_t kErrorMax = 2000;  // Bytes told of an error.

std::string time_text(std::int64_t seconds) {
  return base::rfc3339(seconds * 1'000'000'000);
}

std::uint64_t count_in(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  if (value == nullptr || !value->is_number()) return 0;
  boost::system::error_code error;
  const auto number = value->to_number<std::uint64_t>(error);
  return error ? 0 : number;
}
double number_in(const json::object& object, std::string_view key, double otherwise) {
  const json::value* const value = object.if_contains(key);
  if (value == nullptr || !value->is_number()) return otherwise;
  boost::system::error_code error;
  const auto number = value->to_number<double>(error);
  return error ? otherwise : number;
}
std::string text_in(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  const json::string* const text = value == nullptr ? nullptr : value->if_string();
  return text == nullptr ? std::string() : std::string(text->data(), text->size());
}
bool is_ok(const json::object& object) {
  const json::value* const value = object.if_contains("ok");
  return value != nullptr && value->is_bool() && value->get_bool();
}

std::string seconds_text(double seconds) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f s", seconds);
  return text.data();
}

core::BackupEnd failed(std::string code, std::string error) {
  error = base::valid_utf8(std::move(error));
  if (error.size() > kErrorMax) {
    error.resize(kErrorMax);
    error = base::valid_utf8(std::move(error));
  }
  return {.good = false, .code = std::move(code), .error = std::move(error)};
}

core::BackupEnd judged(const WorkerEnd& end) {
  const clients::ChildEnd& child = end.child;
  if (!child.killed.empty()) {
    return failed("TIMEOUT", "it was " + child.killed + " and everything it had started with it");
  }
  if (!end.result) {
    const bool no_job = child.how == clients::ChildEnd::How::Exited && child.code == 2;
    return failed(no_job ? "BAD_JOB" : "WORKER",
                  "its process ended without a result: " + child.text() +
                      (child.output.empty() ? "" : ": " + child.output));
  }
  if (!is_ok(*end.result)) {
    std::string code = text_in(*end.result, "code");
    return failed(code.empty() ? "WORKER" : std::move(code), text_in(*end.result, "error"));
  }
  if (!child.good()) return failed("WORKER", "its process said it was done, then: " + child.text());
  return {.good = true,
          .rpo_seconds = number_in(*end.result, "rpo_seconds", -1),
          .rto_seconds = number_in(*end.result, "rto_seconds", -1)};
}

// What the databases that were started answered.
std::string drills_story(const json::object& result) {
  const json::value* const told = result.if_contains("drills");
  const json::array* const drills = told == nullptr ? nullptr : told->if_array();
  std::string story;
  if (drills == nullptr) return story;
  for (const json::value& each : *drills) {
    const json::object* const drill = each.if_object();
    if (drill == nullptr) continue;
    story += "; " + text_in(*drill, "source") + " was started and asked `" +
             text_in(*drill, "asked") + "`: " + text_in(*drill, "answer");
  }
  return story;
}

json::array list_in(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  return value != nullptr && value->is_array() ? value->get_array() : json::array();
}

// Of a mirror: who lacks something, and what was mended.
std::string members_story(const json::object& result) {
  std::string story;
  for (const json::value& each : list_in(result, "members")) {
    if (!each.is_object() || text_in(each.get_object(), "state") != "behind") continue;
    story += "; " + text_in(each.get_object(), "name") +
             " is behind: " + text_in(each.get_object(), "why");
  }
  for (const json::value& each : list_in(result, "verified_members")) {
    if (!each.is_object() || count_in(each.get_object(), "mended") == 0) continue;
    story += "; in " + text_in(each.get_object(), "name") + " " +
             std::to_string(count_in(each.get_object(), "mended")) +
             " files were damaged or missing and are mended";
    const json::array files = list_in(each.get_object(), "mended_files");
    if (!files.empty() && files.front().is_string()) {
      story += ": " + std::string(files.front().get_string().c_str());
    }
  }
  return story;
}

}  // namespace

std::optional<json::object> parse_line(std::string_view line) {
  json::parse_options options;
  options.allow_invalid_utf8 = true;
  boost::system::error_code error;
  json::value value = json::parse(line, error, {}, options);
  if (error || !value.is_object()) return std::nullopt;
  return std::move(value.as_object());
}

core::BackupEnd judge(const WorkerEnd& end, bool interrupted) {
  core::BackupEnd how = judged(end);
  if (!how.good && interrupted) {
    how.interrupted = true;
    how.code = "INTERRUPTED";
    how.error = "recoverd was told to stop";
  }
  return how;
}

std::string name_of(const core::BackupKey& key) {
  switch (key.task) {
    case core::BackupTask::Full: return "full backup of " + key.name;
    case core::BackupTask::Incremental: return "incremental backup of " + key.name;
    case core::BackupTask::Verify: return "verification of " + key.name;
    case core::BackupTask::RestoreTest: return "restore test of " + key.name;
    case core::BackupTask::Drill: return "recovery drill of " + key.name;
    case core::BackupTask::CatchUp: return "catching up of the members of " + key.name;
  }
  return key.name;
}

std::string success_story(const core::BackupKey& key, const json::object& result,
                          std::int64_t seconds) {
  std::string story = name_of(key) + ": ";
  switch (key.task) {
    case core::BackupTask::Full:
    case core::BackupTask::Incremental:
      story += std::to_string(count_in(result, "files")) + " files, " +
               base::format_size(count_in(result, "bytes")) + ", of which " +
               base::format_size(count_in(result, "bytes_added")) + " were new,";
      break;
    case core::BackupTask::Verify:
      story += std::to_string(count_in(result, "snapshots_checked")) + " snapshots are sound, " +
               base::format_size(count_in(result, "bytes_read")) + " read,";
      break;
    case core::BackupTask::RestoreTest:
      story += std::to_string(count_in(result, "files")) + " files restored and compared in " +
               seconds_text(number_in(result, "rto_seconds", 0)) + " (RTO), " +
               seconds_text(number_in(result, "rpo_seconds", 0)) + " old (RPO),";
      break;
    case core::BackupTask::CatchUp:
      story += std::to_string(count_in(result, "copied_files")) + " files copied, " +
               base::format_size(count_in(result, "copied_bytes")) + ",";
      break;
    case core::BackupTask::Drill:
      story += "all " + std::to_string(count_in(result, "files")) + " files, " +
               base::format_size(count_in(result, "bytes")) + ", restored in " +
               seconds_text(number_in(result, "rto_seconds", 0)) + " (RTO) and compared, " +
               seconds_text(number_in(result, "rpo_seconds", 0)) + " old (RPO),";
      break;
  }
  story += " in " + base::format_duration(std::chrono::seconds(std::max<std::int64_t>(seconds, 0)));
  story += drills_story(result) + members_story(result);
  if (const auto problems = count_in(result, "problem_count"); problems > 0) {
    story += "; " + std::to_string(problems) +
             (key.task == core::BackupTask::CatchUp ? " could not get all" : " could not be read");
    const json::value* const told = result.if_contains("problems");
    const json::array* const list = told == nullptr ? nullptr : told->if_array();
    if (list != nullptr && !list->empty() && list->front().is_string()) {
      story += ": " + std::string(list->front().as_string().c_str());
    }
  }
  return base::valid_utf8(std::move(story));
}

std::string restore_story(const json::object& result) {
  const json::value* const dry = result.if_contains("dry_run");
  const bool looked = dry != nullptr && dry->is_bool() && dry->get_bool();
  std::string story = std::to_string(count_in(result, "files")) +
                      (looked ? " files can be restored from " : " files restored from ") +
                      text_in(result, "time");
  if (looked) return base::valid_utf8(std::move(story));
  story += ", " + std::to_string(count_in(result, "files_unchanged")) + " were as wanted";
  if (const auto passed = count_in(result, "points_passed_over"); passed > 0) {
    story += "; " + std::to_string(passed) + " newer backups could not be restored";
  }
  const json::value* const left = result.if_contains("left_alone");
  for (const json::value& path :
       left != nullptr && left->is_array() ? left->get_array() : json::array()) {
    if (path.is_string()) story += "; left alone: " + std::string(path.get_string().c_str());
  }
  const json::value* const undo = result.if_contains("undo");
  for (const json::value& id :
       undo != nullptr && undo->is_array() ? undo->get_array() : json::array()) {
    if (id.is_string()) {
      story +=
          "; what stood there is snapshot " + std::string(id.get_string().c_str()).substr(0, 8);
    }
  }
  return base::valid_utf8(std::move(story));
}

bool is_result(const json::object& message) {
  const json::value* const type = message.if_contains("message_type");
  return type != nullptr && type->is_string() && type->get_string() == "result";
}

std::string report_text(const ReportFacts& facts, const core::BackupEnd& end,
                        const std::optional<json::object>& result) {
  json::object report{{"run", facts.owed.run},
                      {"task", core::to_string(facts.key.task)},
                      {"name", facts.key.name},
                      {"repository", facts.repository},
                      {"state", end.good ? "succeeded" : (facts.over ? "failed" : "retrying")},
                      {"due_at", time_text(facts.owed.due)},
                      {"started_at", time_text(facts.owed.started_at)},
                      {"ended_at", time_text(facts.ended_at)},
                      {"attempts", facts.owed.attempts},
                      {"asked_by", facts.owed.actor}};
  if (!end.good) {
    report["code"] = end.code;
    report["error"] = end.error;
  }
  const auto measured = [&](const std::string& what, double seconds, double wanted) {
    if (seconds >= 0) report[what + "_seconds"] = seconds;
    if (wanted >= 0) report[what + "_wanted_seconds"] = wanted;
    if (seconds >= 0 && wanted >= 0) report[what + "_met"] = seconds <= wanted;
  };
  measured("rpo", end.rpo_seconds, facts.rpo_wanted);
  measured("rto", end.rto_seconds, facts.rto_wanted);
  if (result) {
    report["result"] = *result;
    report["result"].as_object().erase("message_type");
  }
  return base::valid_utf8(json::serialize(report));
}

}  // namespace recover::adapters::backup
