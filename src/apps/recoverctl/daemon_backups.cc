// backup status, create, verify and test-restore as the daemon does them: asked for, waited for.
#include <boost/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "apps/recoverctl/commands.h"
#include "base/duration_text.h"

namespace recover::apps {

namespace json = boost::json;

namespace {

using BackupTime = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kRunPoll{200};

std::string last_segment(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

// What a run under way says of itself, in a line.
std::string progress_of(const json::object& run) {
  std::string line =
      text_of(run, "task") + " of " + text_of(run, "name") + ": " + text_of(run, "state");
  const json::value* const told = run.if_contains("progress");
  if (told == nullptr || !told->is_object()) return line;
  const json::object& progress = told->get_object();
  if (progress.contains("files_done")) {
    line += ", " + std::to_string(static_cast<std::uint64_t>(number_of(progress, "files_done"))) +
            " files";
  }
  if (progress.contains("total_packs")) {
    line += ", " + std::to_string(static_cast<std::uint64_t>(number_of(progress, "packs_done"))) +
            " of " +
            std::to_string(static_cast<std::uint64_t>(number_of(progress, "total_packs"))) +
            " packs";
  }
  if (progress.contains("bytes_done")) line += ", " + size_text(number_of(progress, "bytes_done"));
  if (progress.contains("paused")) line += ", paused: " + text_of(progress, "paused");
  return line;
}

bool has_ended(const json::object& run) {
  const std::string state = text_of(run, "state");
  return state == "succeeded" || state == "failed";
}

json::object await_run(const Session& session, const std::string& poll,
                       BackupTime::time_point deadline) {
  std::string shown;
  while (true) {
    const json::value answer = session.client.get(poll);
    const json::object& run = object_of(answer);
    const std::string line = progress_of(run);
    if (session.terminal.tty && !session.json && line != shown) session.err << line << "\n";
    shown = line;
    if (has_ended(run)) return run;
    if (BackupTime::now() >= deadline) {
      throw Failure(Exit::Failed, "TIMEOUT",
                    "run " + last_segment(poll) + " is not over yet; it goes on: " + line,
                    "See `recoverctl backup status`.");
    }
    std::this_thread::sleep_for(kRunPoll);
  }
}

std::string told_of(const json::object& run) {
  const std::string what = text_of(run, "task") + " of " + text_of(run, "name") + " (run " +
                           std::to_string(static_cast<std::uint64_t>(number_of(run, "run"))) + ")";
  if (text_of(run, "state") == "failed") {
    return what + " failed: " + text_of(run, "code") + ": " + text_of(run, "error");
  }
  std::string line = what + ": done";
  const json::value* const result = run.if_contains("result");
  if (result == nullptr || !result->is_object()) return line;
  const json::object& object = result->get_object();
  if (object.contains("files")) {
    line +=
        ", " + std::to_string(static_cast<std::uint64_t>(number_of(object, "files"))) + " files";
  }
  if (object.contains("bytes_added")) {
    line += ", " + size_text(number_of(object, "bytes_added")) + " new";
  }
  if (object.contains("rto_seconds")) {
    line += ", restored in " + std::to_string(number_of(object, "rto_seconds")).substr(0, 4) + " s";
  }
  if (number_of(object, "problem_count") > 0) {
    line += ", " + std::to_string(static_cast<std::uint64_t>(number_of(object, "problem_count"))) +
            " could not be read";
  }
  return line;
}

std::vector<std::string> types_for(const Session& session, const DaemonBackupWish& wish) {
  if (!wish.types.empty()) return wish.types;
  std::vector<std::string> names;
  const json::value document = session.client.get("/backups");
  for (const json::value& value : array_of(object_of(document), "backups")) {
    const json::object& type = object_of(value);
    if (wish.critical_only && text_of(type, "priority") != "critical") continue;
    names.push_back(text_of(type, "name"));
  }
  if (!names.empty()) return names;
  throw Failure(Exit::NoSuchThing, "BACKUP_NOT_FOUND",
                wish.critical_only ? "the configuration has no backup with `priority: critical`"
                                   : "the daemon's configuration has no `backup:` types",
                "For a repository without the daemon: `--repo LOCATION`.");
}

Cell health_cell(const json::object& type, std::string_view name) {
  const std::string state = text_of(object_of(type.at(name)), "state");
  const Tone tone = state == "unhealthy" ? Tone::Bad : state == "healthy" ? Tone::Good : Tone::Dim;
  return {state, tone};
}

std::string first_detail(const json::object& type) {
  for (const char* name : {"made", "proven"}) {
    const json::object& verdict = object_of(type.at(name));
    if (text_of(verdict, "state") == "unhealthy") {
      return text_of(verdict, "code") + ": " + text_of(verdict, "detail");
    }
  }
  for (const json::value& value : array_of(type, "tasks")) {
    const json::object& task = object_of(value);
    if (text_of(task, "state") == "running") return text_of(task, "task") + " is running";
    if (text_of(task, "state") == "retrying") {
      return text_of(task, "task") + " is tried again: " + text_of(task, "error");
    }
  }
  return {};
}

// "1.2s of 1m": the newest measured, and what is wanted.
Cell rpo_cell(const json::object& type) {
  const json::value* const told = type.if_contains("protection");
  if (told == nullptr || !told->is_object()) return {"-", Tone::Dim};
  const json::object& protection = told->get_object();
  const json::value* const missed = protection.if_contains("rpo_missed");
  const bool bad = missed != nullptr && missed->is_bool() && missed->get_bool();
  const json::value* const last = protection.if_contains("rpo_last_seconds");
  const double now = number_of(protection, "exposed_seconds");
  const bool measured = last != nullptr && last->is_number();
  const double shown = bad || !measured ? now : number_of(protection, "rpo_last_seconds");
  const auto text = [](double seconds) {
    return base::format_duration(
        std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 10) * 100));
  };
  return {text(shown) + " of " + text(number_of(protection, "rpo_wanted_seconds")),
          bad ? Tone::Bad : Tone::Good};
}

std::string next_due(const json::object& type) {
  std::string soonest;
  for (const json::value& value : array_of(type, "tasks")) {
    const json::object& task = object_of(value);
    const std::string name = text_of(task, "task");
    const std::string due = text_of(task, "next_due");
    const bool is_backup = name == "full" || name == "incremental";
    if (is_backup && !due.empty() && (soonest.empty() || due < soonest)) soonest = due;
  }
  return soonest.empty() ? "-" : short_time(soonest);
}

std::string time_or_never(const json::object& type, std::string_view name) {
  const std::string time = text_of(type, name);
  return time.empty() ? "never" : short_time(time);
}

Tone tone_of_member(const json::object& member) {
  if (truth_of(member, "too_long")) return Tone::Bad;
  return text_of(member, "state") == "sound" ? Tone::Good : Tone::Dim;
}

// Of every repository that is several places, once.
void show_members(const Session& session, const json::array& types) {
  Table table({"REPOSITORY", "MEMBER", "STATE", "SINCE", "LOCATION", "WHY"});
  table.ends_in_prose();
  std::vector<std::string> shown;
  for (const json::value& value : types) {
    const json::object& type = object_of(value);
    const std::string repository = text_of(type, "repository");
    const bool again = std::find(shown.begin(), shown.end(), repository) != shown.end();
    if (!type.contains("members") || again) continue;
    shown.push_back(repository);
    for (const json::value& each : array_of(type, "members")) {
      const json::object& member = object_of(each);
      table.add({{repository},
                 {text_of(member, "name"), Tone::Strong},
                 {text_of(member, "state"), tone_of_member(member)},
                 {time_or_never(member, "since") == "never" ? "-" : time_or_never(member, "since")},
                 {text_of(member, "location")},
                 {text_of(member, "why")}});
    }
  }
  if (shown.empty()) return;
  session.out << "\n";
  session.print(table);
}

void show_backups(const Session& session, const json::array& types) {
  if (types.empty()) {
    session.out << "the daemon's configuration has no `backup:` types\n";
    return;
  }
  Table table(
      {"BACKUP", "REPOSITORY", "MADE", "LAST", "NEXT", "RPO", "PROVEN", "LAST PROOF", "DETAIL"});
  table.ends_in_prose();
  for (const json::value& value : types) {
    const json::object& type = object_of(value);
    table.add({{text_of(type, "name"), Tone::Strong},
               {text_of(type, "repository")},
               health_cell(type, "made"),
               {time_or_never(type, "last_success")},
               {next_due(type)},
               rpo_cell(type),
               health_cell(type, "proven"),
               {time_or_never(type, "proven_at")},
               {first_detail(type)}});
  }
  session.print(table);
  show_members(session, types);
}

}  // namespace

Command backup_status_command(std::string type) {
  return [type = std::move(type)](const Session& session) {
    json::value document;
    if (type.empty()) {
      document = session.client.get("/backups");
    } else {
      document = json::object{
          {"backups", json::array{session.client.get("/backups/" + percent_encoded(type))}}};
    }
    const json::array& types = array_of(object_of(document), "backups");
    session.show(document, [&](const json::object&) { show_backups(session, types); });
    const bool bad = std::any_of(types.begin(), types.end(), [](const json::value& value) {
      return text_of(object_of(value), "state") == "unhealthy";
    });
    return bad ? Exit::Failed : Exit::Done;
  };
}

Command daemon_backup_command(DaemonBackupWish wish) {
  return [wish = std::move(wish)](const Session& session) {
    std::vector<std::string> polls;
    for (const std::string& type : types_for(session, wish)) {
      const json::value answer = session.client.ask(
          "POST", "/backups/" + percent_encoded(type) + "/runs", {{"task", wish.task}});
      std::string poll = text_of(object_of(answer), "poll");
      // Types of one repository share its verification.
      if (std::find(polls.begin(), polls.end(), poll) == polls.end()) {
        polls.push_back(std::move(poll));
      }
    }
    const auto deadline = BackupTime::now() + wish.timeout;
    json::array runs;
    std::string failed;
    for (const std::string& poll : polls) {
      json::object run =
          wish.wait ? await_run(session, poll, deadline) : object_of(session.client.get(poll));
      if (text_of(run, "state") == "failed") failed += (failed.empty() ? "" : "\n") + told_of(run);
      runs.emplace_back(std::move(run));
    }
    const json::value document = json::object{{"runs", runs}};
    session.show(document, [&](const json::object& object) {
      for (const json::value& value : array_of(object, "runs")) {
        const json::object& run = object_of(value);
        if (text_of(run, "state") == "failed") continue;
        session.out << printable(wish.wait ? told_of(run) : progress_of(run)) << "\n";
      }
    });
    if (!failed.empty()) throw Failure(Exit::Failed, "BACKUP_FAILED", failed);
    return Exit::Done;
  };
}

}  // namespace recover::apps
