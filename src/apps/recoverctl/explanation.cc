// The chain of a recovery as a page: what happened, why this plan, what was done, how it ended.
#include <boost/json.hpp>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/recoverctl/commands.h"

namespace recover::apps {

namespace json = boost::json;

namespace {

constexpr std::size_t kPage = 100;  // Wider lines are hard to read.

struct Section {
  std::string_view heading;
  std::vector<std::string_view> kinds;
};

// The questions of somebody half awake, in the order they are asked.
const std::vector<Section>& sections() {
  static const std::vector<Section> kSections{
      {"WHAT HAPPENED", {"symptom", "incident"}},
      {"WHY THIS WAS DECIDED", {"reason", "request", "gate", "approval"}},
      {"WHAT WAS DONE", {"checkpoint", "step"}},
      {"DID IT HELP", {"validation"}},
      {"WHAT WAS UNDONE", {"rollback"}},
      {"HOW IT ENDED", {"verdict"}},
      {"WHAT ELSE WAS RECORDED", {"event"}},
  };
  return kSections;
}

std::string mark_of(const Session& session, const std::string& verdict) {
  if (verdict == "pass") return painted(session.terminal, Tone::Good, "yes  ");
  if (verdict == "refuse") return painted(session.terminal, Tone::Bad, "NO   ");
  if (verdict == "wait") return painted(session.terminal, Tone::Busy, "wait ");
  return "";
}

void show_row(const Session& session, const json::object& row) {
  const std::size_t width = std::min(session.terminal.width, kPage);
  const std::string verdict = text_of(row, "verdict");
  const std::string rule = text_of(row, "rule");
  const bool judged = verdict == "pass" || verdict == "refuse" || verdict == "wait";
  const std::string clock = clock_time(text_of(row, "at"));
  std::string lead = "  " + (clock == "-" ? std::string("not yet     ") : clock) + "  ";
  std::size_t indent = lead.size() + (judged ? 5U : 0U);
  std::string text = printable(text_of(row, "text"));
  if (!rule.empty()) text = rule + ": " + text;
  session.out << painted(session.terminal, Tone::Dim, lead) << mark_of(session, verdict)
              << wrapped(text, width, indent) << "\n";
}

bool is_unfit(const json::object& row) {
  return text_of(row, "rule") == "playbook_refusal" &&
         text_of(row, "text").ends_with(": no trigger matches");
}

// Playbooks for other failures take one line together.
std::string unfit_playbooks(const std::vector<const json::object*>& rows) {
  std::string names;
  for (const json::object* row : rows) {
    if (!is_unfit(*row)) continue;
    const std::string text = text_of(*row, "text");
    names += (names.empty() ? "" : ", ") + text.substr(0, text.find(": "));
  }
  return names.empty() ? "" : "playbooks for other failures: " + names;
}

// Gates that let it pass take one line together; those that did not, one each.
std::string passed_gates(const std::vector<const json::object*>& rows) {
  std::string rules;
  std::size_t count = 0;
  for (const json::object* row : rows) {
    if (text_of(*row, "kind") != "gate" || text_of(*row, "verdict") != "pass") continue;
    rules += (count++ == 0 ? "" : ", ") + text_of(*row, "rule");
  }
  return count == 0 ? "" : std::to_string(count) + " safety gates said yes: " + rules;
}

void show_section(const Session& session, const Section& section, const json::array& chain) {
  std::vector<const json::object*> rows;
  for (const json::value& value : chain) {
    const std::string kind = text_of(object_of(value), "kind");
    if (std::find(section.kinds.begin(), section.kinds.end(), kind) == section.kinds.end())
      continue;
    rows.push_back(&object_of(value));
  }
  if (rows.empty()) return;
  session.out << "\n" << painted(session.terminal, Tone::Strong, section.heading) << " (UTC)\n";
  std::string gates = passed_gates(rows);
  std::string unfit = unfit_playbooks(rows);
  for (const json::object* row : rows) {
    const bool passed = text_of(*row, "kind") == "gate" && text_of(*row, "verdict") == "pass";
    if (!passed && !is_unfit(*row)) {
      show_row(session, *row);
      continue;
    }
    std::string& text = passed ? gates : unfit;
    if (text.empty()) continue;
    json::object together;
    together["at"] = text_of(*row, "at");
    together["text"] = std::exchange(text, {});
    show_row(session, together);
  }
}

}  // namespace

void show_explanation(const Session& session, const json::object& explanation) {
  const std::size_t width = std::min(session.terminal.width, kPage);
  const std::string incident = text_of(explanation, "incident");
  session.out << painted(session.terminal, Tone::Strong, text_of(explanation, "recovery"))
              << (incident.empty() ? "" : " (incident " + incident + ")") << ": "
              << session.paint(text_of(explanation, "state")) << "\n"
              << wrapped(printable(text_of(explanation, "summary")), width, 0) << "\n";
  for (const Section& section : sections()) {
    show_section(session, section, array_of(explanation, "chain"));
  }
  session.out << "\n"
              << painted(session.terminal, Tone::Strong, "WHAT TO DO NOW") << "\n  "
              << wrapped(text_of(explanation, "next"), width, 2) << "\n";
}

}  // namespace recover::apps
