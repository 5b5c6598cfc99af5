// monitrc: `check process` becomes `systemd:` where an init script or systemctl starts it, else
// `observe:`; tests of ports become probes, tests of the machine thresholds.
#include <algorithm>
#include <array>
#include <utility>

#include "import/draft.h"
#include "import/words.h"
#include "import/yaml.h"

namespace recover::import {
namespace {

struct Token {
  std::string text;  // Without its quotes.
  std::string word;  // In lower case; empty for what was quoted.
  std::size_t line = 0;
};
using Tokens = std::vector<Token>;

// Words, quoted texts; `#` begins a comment.
Tokens tokens_of(std::string_view text) {
  Tokens tokens;
  std::size_t line = 1;
  for (std::size_t at = 0; at < text.size();) {
    const char letter = text[at];
    if (letter == '\n') ++line;
    if (letter == '#') {
      at = std::min(text.find('\n', at), text.size());
    } else if (letter == '"' || letter == '\'') {
      const std::size_t close = std::min(text.find(letter, at + 1), text.size());
      const std::string_view inside = text.substr(at + 1, close - at - 1);
      tokens.push_back({std::string(inside), "", line});
      line += static_cast<std::size_t>(std::ranges::count(inside, '\n'));
      at = close + 1;
    } else if (std::string_view(" \t\r\n,;=(){}").find(letter) != std::string_view::npos) {
      ++at;
    } else {
      const std::size_t end = std::min(text.find_first_of(" \t\r\n,;=(){}\"'", at), text.size());
      const std::string_view word = text.substr(at, end - at);
      tokens.push_back({std::string(word), lower(word), line});
      at = end;
    }
  }
  return tokens;
}

bool is_noise(std::string_view word) {
  static constexpr auto kNoise = std::to_array<std::string_view>(
      {"is",  "as",  "are", "on",  "only",    "with",     "within", "and", "has", "using",
       "use", "the", "to",  "sum", "program", "programs", "than",   "for", "per", "in"});
  return std::ranges::find(kNoise, word) != kNoise.end();
}

bool is_action_before(const Token& token) {
  return token.word == "then" || token.word == "else" || token.word == "onreboot" ||
         token.word == "mode";
}

// Where a statement begins, so that `then restart` does not look like one.
bool begins(const Tokens& tokens, std::size_t at) {
  static constexpr auto kStarts = std::to_array<std::string_view>(
      {"check", "set", "include", "start", "stop", "restart", "if", "depends", "depend", "group",
       "every", "mode", "alert", "noalert", "onreboot", "not"});
  const std::string& word = tokens[at].word;
  if (std::ranges::find(kStarts, word) == kStarts.end()) return false;
  if (at == 0) return true;
  const Token& last = tokens[at - 1];
  if (is_action_before(last)) return false;
  if (word == "not") return at + 1 < tokens.size() && tokens[at + 1].word == "every";
  if (word == "every") return last.word != "not";
  if (word == "restart" || word == "start" || word == "stop") {
    return at + 1 < tokens.size() &&
           (tokens[at + 1].word == "program" || tokens[at + 1].word.empty());
  }
  return true;
}

using Statement = std::vector<Token>;
std::vector<Statement> statements_of(const Tokens& tokens) {
  std::vector<Statement> statements;
  for (std::size_t at = 0; at < tokens.size(); ++at) {
    if (statements.empty() || begins(tokens, at)) statements.emplace_back();
    statements.back().push_back(tokens[at]);
  }
  return statements;
}

// The token after the word; none: an empty one.
Token after(const Statement& statement, std::string_view word) {
  for (std::size_t at = 0; at + 1 < statement.size(); ++at) {
    if (statement[at].word == word) return statement[at + 1];
  }
  return {};
}
bool has(const Statement& statement, std::string_view word) {
  return std::ranges::any_of(statement, [word](const Token& token) { return token.word == word; });
}
std::string shown(const Statement& statement) {
  std::string text;
  for (const Token& token : statement) {
    text +=
        (text.empty() ? "" : " ") + (token.word.empty() ? "\"" + token.text + "\"" : token.text);
  }
  constexpr std::size_t kShownMax = 160;
  if (text.size() > kShownMax) text = text.substr(0, kShownMax) + "…";
  return text;
}

// What an init script, `service` or systemctl is told to start is a unit. Empty: something else.
std::string unit_started_by(const std::string& command) {
  const std::vector<std::string> words = split_blanks(command);
  if (words.empty()) return {};
  const std::string_view program = file_name(words[0]);
  if (words[0].starts_with("/etc/init.d/")) return std::string(program) + ".service";
  if (program == "service" && words.size() >= 3) return words[1] + ".service";
  const auto verb = std::ranges::find_if(words, [](const std::string& word) {
    return word == "start" || word == "stop" || word == "restart";
  });
  if (program != "systemctl" || verb == words.end() || verb + 1 == words.end()) return {};
  return (verb + 1)->ends_with(".service") ? *(verb + 1) : *(verb + 1) + ".service";
}

class Monit {
 public:
  Monit(const Source& source, Draft& draft) : source_(source), draft_(draft) {}

  void read() {
    for (const Statement& statement : statements_of(tokens_of(source_.text))) take(statement);
    close();
  }

 private:
  void remark(const Statement& statement, const std::string& why) {
    draft_.remark(source_.path, statement.front().line,
                  (check_.empty() ? "" : check_ + ": ") + why + ": " + shown(statement));
  }

  void take(const Statement& statement) {
    const std::string& first = statement.front().word;
    if (first == "check") return begin_check(statement);
    if (first == "set") return set(statement);
    if (kind_ == "left out" && first != "set") return;  // That was said of the whole.
    if (first == "include") {
      return remark(statement,
                    "what it includes is not read by this; give it to `recoverd import` "
                    "too");
    }
    if (kind_ == "process") return take_of_process(statement);
    if (kind_ == "filesystem" || kind_ == "system") return take_of_machine(statement);
    if (kind_.empty()) return remark(statement, "not carried over");
    // Of a check that is left out as a whole: that was said.
  }

  void set(const Statement& statement) {
    const std::string what = statement.size() > 1 ? statement[1].word : "";
    if (what == "daemon" && statement.size() > 2) {
      if (parse_number(statement[2].text)) draft_.monitoring_interval = statement[2].text + "s";
      return;
    }
    remark(statement, what == "alert" || what == "mailserver" || what == "mail-format"
                          ? "alerts by mail are not there yet"
                          : "recoverd has its own");
  }

  void begin_check(const Statement& statement) {
    close();
    check_.clear();
    kind_ = statement.size() > 1 ? statement[1].word : "";
    const std::string name = statement.size() > 2 ? statement[2].text : "";
    if (kind_ == "device") kind_ = "filesystem";
    line_ = statement.front().line;
    if (kind_ == "process") {
      service_ = ServiceDraft{};
      service_.name = service_name(name);
      service_.aliases = {name};
      service_.origin = "`check process " + name + "` of " + source_.path;
      service_.pid_file = after(statement, "pidfile").text;
      service_.match = after(statement, "matching").text;
      if (service_.match.empty()) service_.match = after(statement, "match").text;
    } else if (kind_ == "filesystem") {
      disk_ = after(statement, "path").text;
    } else if (kind_ != "system") {
      remark(statement, "only processes, file systems and the system are checked in this way");
      kind_ = "left out";
    }
    check_ = name;
  }

  void close() {
    if (kind_ == "process") end_process();
    kind_.clear();
    check_.clear();
  }

  void end_process() {
    const std::string unit = unit_started_by(start_);
    if (!unit.empty()) {
      service_.unit = unit;
      service_.notes.push_back("monit started it with: " + start_);
    } else if (service_.pid_file.empty() && service_.match.empty()) {
      draft_.remark(source_.path, line_, check_ + ": neither a pidfile nor a pattern");
      start_.clear();
      stop_.clear();
      return;
    } else {
      describe_playbook();
    }
    start_.clear();
    stop_.clear();
    draft_.services.push_back(std::move(service_));
  }

  // Somebody else's process is started by a program: that takes a playbook of its own.
  void describe_playbook() {
    if (start_.empty()) return;
    const auto words = command_words(start_);
    std::vector<std::string>& notes = service_.notes;
    notes.emplace_back("To start it as monit did, put this into a file that `playbooks:` names:");
    notes.push_back("  playbook: start_" + service_.name);
    notes.emplace_back("  triggers: [{failure: service_failure}, {failure: connection}]");
    notes.push_back("  steps: [{name: Start, action: exec, with: {command: " +
                    flow_list(words.value_or(std::vector<std::string>{start_})) +
                    "}, timeout: 30s, irreversible: true}]");
    notes.emplace_back("  validation: {success_criteria: [\"service_running == true\"]}");
  }

  void take_of_process(const Statement& statement) {
    const std::string& first = statement.front().word;
    if (first == "start" || first == "stop" || first == "restart") {
      program(statement);
    } else if (first == "group") {
      if (statement.size() > 1) service_.group_name = statement.back().text;
    } else if (first == "depends" || first == "depend") {
      for (std::size_t at = 1; at < statement.size(); ++at) {
        if (!is_noise(statement[at].word)) service_.depends_on.push_back(statement[at].text);
      }
    } else if (first == "if" &&
               (has(statement, "port") || has(statement, "unixsocket") || has(statement, "unix"))) {
      connection(statement);
    } else {
      remark(statement, first == "if" && has(statement, "restarts")
                            ? "see auto_recovery.safety.circuit_breaker"
                            : "not carried over");
    }
  }

  void program(const Statement& statement) {
    const auto quoted = std::ranges::find(statement, "", &Token::word);
    if (quoted == statement.end()) return;
    const std::string& first = statement.front().word;
    if (first == "start") start_ = quoted->text;
    if (first == "stop") stop_ = quoted->text;
    if (first == "restart" && start_.empty()) start_ = quoted->text;
    if (has(statement, "uid") || has(statement, "gid")) remark(statement, "the account is not");
  }

  static bool speaks_http(const std::string& protocol) {
    return protocol == "http" || protocol == "https" || protocol == "apache-status";
  }

  void connection(const Statement& statement) {
    const auto port = parse_number(after(statement, "port").text);
    if (!port || *port == 0 || *port > 65'535) {
      return remark(statement, "only TCP ports are probed");
    }
    if (has(statement, "udp")) return remark(statement, "UDP is not probed");
    std::string protocol = after(statement, "protocol").word;
    if (protocol.empty()) protocol = after(statement, "proto").word;
    std::string host = after(statement, "host").text;
    if (host.empty() || host == "localhost") host = "127.0.0.1";
    const std::string where = host + ":" + std::to_string(*port);
    std::string probe;
    if (speaks_http(protocol)) {
      std::string path = after(statement, "request").text;
      if (!path.starts_with('/')) path = "/" + path;
      const std::string scheme =
          protocol == "https" || has(statement, "ssl") || has(statement, "tls") ? "https" : "http";
      const std::string status = after(statement, "status").text;
      probe = "http: {url: " + scalar(scheme + "://" + where + path) +
              (parse_number(status) ? ", status: [" + status + "]" : "") + "}";
    } else if (protocol == "redis") {
      probe = "redis: {host: " + scalar(host) + ", port: " + std::to_string(*port) + "}";
    } else {
      probe = "tcp: {host: " + scalar(host) + ", port: " + std::to_string(*port) + "}";
      if (!protocol.empty() && protocol != "default") {
        draft_.remark(source_.path, statement.front().line,
                      check_ + ": the protocol " + protocol + " is not spoken, only connected to");
      }
    }
    service_.probes.push_back("{" + probe + details(statement) + "}");
  }

  // Timeout and cycles.
  static std::string details(const Statement& statement) {
    std::string text;
    const auto timeout = parse_number(after(statement, "timeout").text);
    if (timeout && *timeout > 0) text += ", timeout: " + std::to_string(*timeout) + "s";
    for (std::size_t at = 1; at < statement.size(); ++at) {
      if (statement[at].word != "cycles" && statement[at].word != "cycle") continue;
      const auto cycles = parse_number(statement[at - 1].text);
      if (cycles && *cycles > 0 && *cycles <= 1'000) {
        text += ", failure_threshold: " + std::to_string(*cycles);
      }
      break;
    }
    return text;
  }

  // "if space usage > 80% then alert", "if memory usage > 75%", "if cpu usage (user) > 70%"
  void take_of_machine(const Statement& statement) {
    const auto percent = std::ranges::find_if(
        statement, [](const Token& token) { return token.text.ends_with('%'); });
    std::string value = percent == statement.end() ? "" : percent->text;
    if (value.empty()) {
      // "80 %"
      for (std::size_t at = 0; at + 1 < statement.size(); ++at) {
        if (statement[at + 1].word == "%" || statement[at + 1].word == "percent") {
          value = statement[at].text + "%";
        }
      }
    }
    std::string digits = value.substr(0, value.empty() ? 0 : value.size() - 1);
    const auto number = parse_number(digits.substr(0, digits.find('.')));
    const bool usable = number && *number > 0 && *number <= 100;
    if (kind_ == "filesystem" && usable && has(statement, "space") && disk_.starts_with('/')) {
      draft_.disks.push_back(disk_);
      draft_.disk_usage = value;
    } else if (kind_ == "system" && usable && (has(statement, "memory") || has(statement, "mem"))) {
      draft_.memory_usage = value;
    } else if (kind_ == "system" && usable && has(statement, "cpu")) {
      draft_.cpu_usage = value;
    } else {
      remark(statement, "not carried over");
    }
  }

  const Source& source_;
  Draft& draft_;
  std::string kind_;   // Of the check that is open.
  std::string check_;  // Its name.
  std::size_t line_ = 0;
  ServiceDraft service_;
  std::string start_;
  std::string stop_;
  std::string disk_;
};

}  // namespace

void read_monit(const Source& source, Draft& draft) {
  Monit(source, draft).read();
}

}  // namespace recover::import
