// backup drills: what the daemon's recovery drills have shown.
#include <boost/json.hpp>

#include <chrono>
#include <cstdint>
#include <string>

#include "apps/recoverctl/commands.h"
#include "base/duration_text.h"

namespace recover::apps {
namespace {

namespace json = boost::json;

// "1.2s of 5m": measured, and wanted.
Cell objective_cell(const json::object& drill, const std::string& what) {
  const json::value* const measured = drill.if_contains(what + "_seconds");
  if (measured == nullptr || !measured->is_number()) return {"-", Tone::Dim};
  const auto text = [](double seconds) {
    return base::format_duration(
        std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 10) * 100));
  };
  const std::string shown = text(number_of(drill, what + "_seconds"));
  const json::value* const met = drill.if_contains(what + "_met");
  if (met == nullptr || !met->is_bool()) return {shown};
  return {shown + " of " + text(number_of(drill, what + "_wanted_seconds")),
          met->get_bool() ? Tone::Good : Tone::Bad};
}

std::string counted(const json::object& drill, const std::string& what) {
  const json::value* const result = drill.if_contains("result");
  if (result == nullptr || !result->is_object() || !result->get_object().contains(what)) return "-";
  const double number = number_of(result->get_object(), what);
  return what == "bytes" ? size_text(number) : std::to_string(static_cast<std::uint64_t>(number));
}

void show_drills(const Session& session, const json::array& drills) {
  if (drills.empty()) {
    session.out << "no recovery drill has ended yet; `recoverctl backup drill` runs one\n";
    return;
  }
  Table table({"RUN", "BACKUP", "STATE", "BEGAN", "FILES", "SIZE", "RTO", "RPO", "DETAIL"});
  table.ends_in_prose();
  for (const json::value& value : drills) {
    const json::object& drill = object_of(value);
    const std::string state = text_of(drill, "state");
    const std::string code = text_of(drill, "code");
    table.add({{std::to_string(static_cast<std::uint64_t>(number_of(drill, "run")))},
               {text_of(drill, "name"), Tone::Strong},
               {state, state == "succeeded" ? Tone::Good : Tone::Bad},
               {short_time(text_of(drill, "started_at"))},
               {counted(drill, "files")},
               {counted(drill, "bytes")},
               objective_cell(drill, "rto"),
               objective_cell(drill, "rpo"),
               {code.empty() ? "" : code + ": " + text_of(drill, "error")}});
  }
  session.print(table);
}

}  // namespace

Command backup_drills_command(std::string type) {
  return [type = std::move(type)](const Session& session) {
    const std::string query = type.empty() ? "" : "?name=" + percent_encoded(type);
    const json::value document = session.client.get("/drills" + query);
    session.show(document, [&](const json::object& shown) {
      show_drills(session, array_of(shown, "drills"));
    });
    return Exit::Done;
  };
}

}  // namespace recover::apps
