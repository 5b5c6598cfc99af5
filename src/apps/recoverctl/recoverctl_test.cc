// The program itself against a real server: exit codes, errors, tables, scripts.
#include <boost/json.hpp>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "apps/recoverctl/cli.h"
#include "apps/recoverctl/table.h"
#include "apps/recoverctl/terminal.h"
#include "apps/recoverctl/yaml_edit.h"
#include "test/api_daemon.h"
#include "test/temp_folder.h"

namespace recover::apps {
namespace {

namespace json = boost::json;
using api_test::Daemon;
using namespace std::chrono_literals;

struct Ran {
  int exit = -1;
  std::string out;
  std::string err;
};

class Program {
 public:
  explicit Program(std::string socket) : socket_(std::move(socket)) {
    std::string pattern = (std::filesystem::temp_directory_path() / "ctl_XXXXXX").string();
    RECOVER_CHECK(::mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
  }
  ~Program() { std::filesystem::remove_all(folder_); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // `arguments` as a shell reads them; run by `launcher`, which may be another user's.
  Ran operator()(const std::string& arguments, const std::string& launcher = "") const {
    const std::string command = launcher + " env COLUMNS=80 RECOVERD_SOCKET=" + socket_ +
                                " " APP_UNDER_TEST " " + arguments + " >" + folder_ + "/out 2>" +
                                folder_ + "/err";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read("out"), read("err")};
  }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
    return folder_ + "/" + name;
  }

 private:
  std::string read(const std::string& name) const {
    std::ifstream file(folder_ + "/" + name);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  std::string socket_;
  std::string folder_;
};

// Without what differs from run to run.
std::string masked(std::string text) {
  text = std::regex_replace(text, std::regex("20\\d\\d-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d"),
                            "YYYY-MM-DD HH:MM:SS");
  return text;
}

class Recoverctl : public testing::Test {
 protected:
  Daemon daemon;
  Program run{daemon.serve()};
};

TEST_F(Recoverctl, ServicesFitEightyColumns) {
  const Ran got = run("services");
  EXPECT_EQ(got.exit, 0) << got.err;
  EXPECT_EQ(masked(got.out),
            "SERVICE  STATE    SINCE                PID  PROBES  RESTARTS  BREAKER  INCIDENT\n"
            "db       healthy  YYYY-MM-DD HH:MM:SS  100  1/1     0         closed   -\n"
            "web      healthy  YYYY-MM-DD HH:MM:SS  101  1/1     0         closed   -\n");
  EXPECT_EQ(got.out.find('\x1b'), std::string::npos);
  EXPECT_EQ(run("services --names").out, "db\nweb\n");
  EXPECT_NE(run("services web").out.find("web (run, priority high) is healthy"), std::string::npos);
}

// An option that may be given several times takes one value each: what follows are paths.
TEST(RecoverctlBackup, OptionsDoNotSwallowPaths) {
  const test::TempFolder folder;
  std::filesystem::create_directories(folder / "etc");
  std::filesystem::create_directories(folder / "srv");
  std::ofstream(folder / "etc/a") << "a";
  std::ofstream(folder / "srv/b") << "b";
  std::ofstream(folder / "password") << "secret";
  const std::string where =
      " --repo " + folder / "repo" + " --password-file " + folder / "password";
  const Program run("/nowhere");
  ASSERT_EQ(run("backup init" + where).exit, 0);
  const Ran made = run("backup create" + where + " --tag t --exclude '*.tmp' " + folder / "etc" +
                       " " + folder / "srv");
  ASSERT_EQ(made.exit, 0) << made.err;
  const Ran listed = run("--json backup list" + where);
  const std::string paths = R"("paths":[")" + folder / "etc" + R"(",")" + folder / "srv" + R"("])";
  EXPECT_NE(listed.out.find(paths), std::string::npos) << listed.out;
  EXPECT_NE(listed.out.find(R"("tags":["t"])"), std::string::npos) << listed.out;
  const Ran restored = run("backup restore" + where + " --selective " + folder / "etc" +
                           " latest --to " + folder / "out");
  EXPECT_EQ(restored.exit, 0) << restored.err;
  EXPECT_TRUE(std::filesystem::exists(folder / "out" + folder / "etc/a"));
  EXPECT_FALSE(std::filesystem::exists(folder / "out" + folder / "srv"));
}

TEST_F(Recoverctl, JsonIsOneDocumentWithThePlural) {
  for (const char* plural : {"services", "incidents", "recoveries", "events"}) {
    const Ran got = run(std::string("--json ") + plural);
    EXPECT_EQ(got.exit, 0) << got.err;
    EXPECT_TRUE(json::parse(got.out).as_object().contains(plural)) << got.out;
  }
  EXPECT_TRUE(json::parse(run("status --json").out).as_object().contains("services"));
  EXPECT_TRUE(json::parse(run("checkpoint list --json").out).as_object().contains("checkpoints"));
  EXPECT_TRUE(json::parse(run("config history --json").out).as_object().contains("versions"));
  EXPECT_NE(run("config history").out.find("cafe0002"), std::string::npos);
  EXPECT_EQ(run("config diff").out, "--- cafe0001\n+++ cafe0002\n");
  EXPECT_EQ(run("config diff cafe0002 cafe0001").out, "--- cafe0002\n+++ cafe0001\n");
  EXPECT_EQ(run("config diff nosuchversion").exit, 4);
  EXPECT_TRUE(json::parse(run("patterns list --json").out).as_object().contains("patterns"));
}

TEST_F(Recoverctl, ExitCodes) {
  EXPECT_EQ(run("status").exit, 0);
  EXPECT_EQ(run("frobnicate").exit, 2);
  EXPECT_EQ(run("").exit, 2);
  EXPECT_EQ(run("events --last soon").exit, 2);
  EXPECT_EQ(run("services nope").exit, 4);
  EXPECT_EQ(run("explain rec-9").exit, 4);
  EXPECT_EQ(run("--socket /nowhere/sock status").exit, 5);
  EXPECT_EQ(run("journal verify").exit, 0);
  daemon.act([&] { daemon.journal().broken_at = 2; });
  const Ran broken = run("journal verify");
  EXPECT_EQ(broken.exit, 1);
  EXPECT_NE(broken.out.find("BROKEN at entry 2"), std::string::npos);
  EXPECT_EQ(run("health check").exit, 0);
  EXPECT_EQ(run("health check --thorough").exit, 1);  // The chain, and a critical disk.
}

TEST_F(Recoverctl, ErrorsSayWhatToDoNext) {
  const Ran down = run("--socket /nowhere/sock status");
  EXPECT_NE(down.err.find("Is recoverd running?"), std::string::npos);
  EXPECT_TRUE(down.out.empty());
  const Ran got = run("--json services nope");
  const json::value error = json::parse(got.err);
  EXPECT_EQ(error.at("error").at("code").as_string(), "SERVICE_NOT_FOUND");
  EXPECT_TRUE(error.at("error").as_object().contains("message"));
  EXPECT_TRUE(error.at("error").as_object().contains("detail"));
  EXPECT_EQ(json::parse(run("--json frobnicate").err).at("error").at("code").as_string(), "USAGE");
  EXPECT_NE(run("statu").err.find("did you mean `status`"), std::string::npos);
  EXPECT_NE(run("checkpoint lst").err.find("did you mean `list`"), std::string::npos);
  EXPECT_EQ(run("--version").exit, 0);
}

TEST_F(Recoverctl, WaitsForTheOutcome) {
  const Ran stop = run("stop web");
  EXPECT_EQ(stop.exit, 0) << stop.err;
  EXPECT_EQ(stop.out, "web is stopped\n");
  EXPECT_EQ(run("start web").out, "web is healthy\n");
  EXPECT_EQ(run("restart web").out, "web is healthy\n");
  EXPECT_EQ(run("quarantine web").out, "web is quarantined\n");
  EXPECT_EQ(run("release web").exit, 0);
  EXPECT_EQ(run("reload web --no-wait").exit, 0);
}

// Healthy is what was seen before: only a look since the reload says what became of it.
TEST_F(Recoverctl, AReloadIsJudgedByLooksTakenSince) {
  EXPECT_EQ(run("reload web").out, "web is healthy\n");
  daemon.act([&] { daemon.blind = true; });
  const Ran blind = run("reload web --timeout 3s");
  EXPECT_EQ(blind.exit, 1);
  EXPECT_NE(blind.err.find("its tcp probe has not looked since"), std::string::npos) << blind.err;
}

TEST_F(Recoverctl, AConfigurationReloadWaitsForWhatItChanged) {
  daemon.act([&] { daemon.changed = {"web"}; });
  EXPECT_EQ(run("config reload").exit, 0);
  daemon.act([&] { daemon.broken.insert(Daemon::kWeb); });
  const Ran bad = run("config reload --timeout 2s");
  EXPECT_EQ(bad.exit, 1);
  EXPECT_NE(bad.err.find("web is "), std::string::npos) << bad.err;
  EXPECT_EQ(run("config reload --no-wait").exit, 0);
}

TEST_F(Recoverctl, QuarantineIsNamedWithWhatLiftsIt) {
  ASSERT_EQ(run("quarantine web").exit, 0);
  for (const char* request : {"start", "restart", "reload"}) {
    const Ran got = run(std::string(request) + " web");
    EXPECT_EQ(got.exit, 6) << request;
    EXPECT_NE(got.err.find("rule quarantine"), std::string::npos) << got.err;
    EXPECT_NE(got.err.find("`recoverctl release web`"), std::string::npos) << got.err;
  }
  ASSERT_EQ(run("release web").exit, 0);
  EXPECT_EQ(run("restart web").exit, 0);
}

TEST_F(Recoverctl, TellsOfAHeartbeat) {
  EXPECT_EQ(run("heartbeat web").out, "recoverd heard that web is alive\n");
  const Ran none = run("heartbeat db");
  EXPECT_EQ(none.exit, 1);
  EXPECT_NE(none.err.find("has no heartbeat probe"), std::string::npos) << none.err;
  EXPECT_EQ(run("heartbeat nope").exit, 4);
}

// By a supplementary group: as nobody, and in a group that the socket was given to.
TEST(RecoverctlGroup, MembersOfTheOperatorGroupOperate) {
  if (::geteuid() != 0) GTEST_SKIP() << "becomes another user";
  constexpr gid_t kOperators = 54'321;
  Daemon daemon;
  const std::string socket = daemon.serve({.operator_group = kOperators});
  std::filesystem::permissions(std::filesystem::path(socket).parent_path(),
                               std::filesystem::perms(0755));
  const Program run(socket);
  const std::string nobody = "setpriv --reuid 65534 --regid 65534 --groups ";
  const Ran member = run("restart web", nobody + std::to_string(kOperators));
  EXPECT_EQ(member.exit, 0) << member.err;
  const Ran above = run("mode set shadow", nobody + std::to_string(kOperators));
  EXPECT_EQ(above.exit, 3) << "for admins";
  const Ran stranger = run("services", nobody + "54322");
  EXPECT_EQ(stranger.exit, 3) << stranger.out;
  EXPECT_NE(stranger.err.find("api.operator_group"), std::string::npos) << stranger.err;
}

TEST_F(Recoverctl, ARefusalNamesItsRule) {
  daemon.act([&] { daemon.held.insert(core::ActionKind::Restart); });
  EXPECT_EQ(run("restart web --no-wait").exit, 0);
  const Ran got = run("restart web");
  EXPECT_EQ(got.exit, 6);
  EXPECT_NE(got.err.find("rule operator"), std::string::npos) << got.err;
  EXPECT_EQ(run("restart web --no-wait --timeout never").exit, 2);
}

TEST_F(Recoverctl, RecoversAndExplains) {
  const Ran dry = run("recover web --dry-run");
  EXPECT_EQ(dry.exit, 0) << dry.err;
  EXPECT_NE(dry.out.find("restart_it on web would run"), std::string::npos) << dry.out;
  const Ran got = run("recover web --wait --timeout 30s");
  EXPECT_EQ(got.exit, 0) << got.err << got.out;
  EXPECT_NE(got.out.find("rec-1 of web is succeeded"), std::string::npos) << got.out;
  const Ran why = run("explain rec-1");
  EXPECT_EQ(why.exit, 0);
  for (const char* part : {"rec-1", "WHY THIS WAS DECIDED", "WHAT WAS DONE", "DID IT HELP",
                           "HOW IT ENDED", "WHAT TO DO NOW"}) {
    EXPECT_NE(why.out.find(part), std::string::npos) << part << "\n" << why.out;
  }
  EXPECT_NE(why.out.find("safety gates said yes: mode, "), std::string::npos) << why.out;
  EXPECT_EQ(run("recover web --playbook nope").exit, 4);
}

TEST_F(Recoverctl, ApproveSendsTheHashOfWhatItShows) {
  EXPECT_EQ(run("mode set semi-automatic").exit, 0);
  // Accepted is not yet in effect: this daemon's own events do not queue behind the API's.
  constexpr int kLooksMax = 200;
  const auto in_effect = [&] {
    return run("mode get").out.find("semi-automatic") != std::string::npos;
  };
  for (int looks = 0; looks < kLooksMax && !in_effect();) ++looks;
  daemon.act([&] { daemon.crash(Daemon::kWeb); });
  const Ran got = run("approve rec-1 --comment 'looks right'");
  EXPECT_EQ(got.exit, 0) << got.err;
  EXPECT_NE(got.out.find("rec-1 approved"), std::string::npos);
  EXPECT_EQ(run("approve rec-1").exit, 6);
}

TEST_F(Recoverctl, PolicyCommands) {
  EXPECT_EQ(run("mode set sometimes").exit, 2);
  EXPECT_EQ(run("mode set shadow --service web").exit, 0);
  EXPECT_NE(run("mode get").out.find("shadow"), std::string::npos);
  EXPECT_EQ(run("maintenance start --service web --for 1h").exit, 0);
  EXPECT_NE(run("maintenance list").out.find("web"), std::string::npos);
  EXPECT_EQ(run("maintenance stop --service web").exit, 0);
  EXPECT_EQ(run("maintenance list").out, "no maintenance\n");
  EXPECT_EQ(run("kill-switch on").exit, 0);
  EXPECT_EQ(run("health check").exit, 1);
  EXPECT_EQ(run("kill-switch off").exit, 0);
  EXPECT_EQ(run("breaker reset web").exit, 0);
  EXPECT_EQ(run("breaker list").exit, 0);
  EXPECT_EQ(run("patterns test 'read timeout'").exit, 0);
  EXPECT_EQ(run("patterns test fine").exit, 1);
  EXPECT_EQ(run("patterns add x y --category network --recovery restart").exit, 0);
  EXPECT_EQ(run("patterns add x y").exit, 1);
  EXPECT_NE(run("patterns list").out.find("x "), std::string::npos);
  EXPECT_EQ(run("patterns remove x").exit, 0);
  EXPECT_EQ(run("patterns remove x").exit, 4);
  EXPECT_EQ(run("scale web 3").out, "web is healthy, 3 instances\n");
  EXPECT_EQ(run("scale web 99").exit, 6);
  EXPECT_EQ(run("scale nope 2").exit, 4);
}

TEST_F(Recoverctl, ConfigurationKeepsItsComments) {
  EXPECT_EQ(run("config get auto_recovery.recovery.mode").out, "shadow\n");
  EXPECT_EQ(run("config set auto_recovery.recovery.mode automatic").exit, 0);
  EXPECT_EQ(run("config get").out, "auto_recovery:\n  recovery: {mode: automatic}  # kept\n");
  const Ran near = run("config get auto_recovery.recovry");
  EXPECT_EQ(near.exit, 4);
  EXPECT_NE(near.err.find("did you mean `recovery`"), std::string::npos) << near.err;
  EXPECT_EQ(run("config get no.such").err.find("invalid node"), std::string::npos);
  EXPECT_EQ(run("config set nonsense.key x").exit, 2);
  EXPECT_EQ(run("config set").exit, 2);
  const Ran bad = run("config set --file " + run.write("bad.yaml", "nonsense: 1\n"));
  EXPECT_EQ(bad.exit, 2);
  EXPECT_NE(bad.err.find("f.yaml:1:1: unknown key"), std::string::npos) << bad.err;
  EXPECT_EQ(run("config reload").exit, 0);
}

TEST_F(Recoverctl, HistoryAndCheckpoints) {
  EXPECT_EQ(run("logs show --service web --level ERROR").out,
            "web | 2026-01-31T12:00:00.500Z ERROR new\n");
  EXPECT_EQ(run("monitor resources").exit, 0);
  EXPECT_EQ(run("statistics").exit, 0);
  const Ran taken = run("checkpoint create before");
  EXPECT_EQ(taken.out, "checkpoint before of web is taken: 1 files, 42B\n") << taken.err;
  EXPECT_NE(run("checkpoint list").out.find("last-good"), std::string::npos);
  EXPECT_NE(run("checkpoint show c0ffee").out.find("/etc/web/web.conf"), std::string::npos);
  // As JSON: the table cuts a long list of names.
  EXPECT_NE(run("checkpoint list --json").out.find("\"before\""), std::string::npos);
  EXPECT_TRUE(json::parse(run("checkpoint restore last-good --json").out).at("restored").as_bool());
  const Ran nope = run("checkpoint restore nope --service web");
  EXPECT_EQ(nope.exit, 4);
  EXPECT_NE(nope.err.find("last-good"), std::string::npos) << nope.err;
  EXPECT_EQ(run("checkpoint prune").exit, 0);
  EXPECT_NE(run("events --type operator:").out.find("operator:checkpoint"), std::string::npos);
}

TEST_F(Recoverctl, FollowPrintsOneObjectALine) {
  const Program& program = run;
  std::thread later([&] {
    // Until the follower is there nothing is lost by telling again.
    for (int i = 0; i < 200; ++i) {
      daemon.act([&] {
        daemon.apply(core::OperatorKillSwitch{.on = i % 2 == 0, .actor = "uid:0(root)"});
      });
      std::this_thread::sleep_for(10ms);
    }
  });
  const Ran got = program("events --follow --json --type operator:kill_switch | head -n 1");
  later.join();
  EXPECT_EQ(got.exit, 0);
  EXPECT_EQ(json::parse(got.out.substr(0, got.out.find('\n'))).at("type").as_string(),
            "operator:kill_switch");
}

void expect_everywhere(const CommandDoc& command, const std::string& text) {
  for (const CommandDoc& child : command.commands) {
    EXPECT_NE(text.find(child.name), std::string::npos) << child.name;
    expect_everywhere(child, text);
  }
}

void expect_examples(const CommandDoc& command, const std::string& path) {
  if (command.commands.empty()) {
    // Perhaps with a variable before it.
    EXPECT_NE(command.example.find("recoverctl "), std::string::npos) << path;
  }
  for (const CommandDoc& child : command.commands) expect_examples(child, path + " " + child.name);
}

TEST(RecoverctlTexts, EveryCommandHasAnExample) {
  expect_examples(command_line(), "recoverctl");
}

TEST_F(Recoverctl, HelpShowsTheExample) {
  const Ran got = run("checkpoint create --help");
  EXPECT_EQ(got.exit, 0);
  EXPECT_NE(got.out.find("recoverctl checkpoint create before-upgrade"), std::string::npos)
      << got.out;
}

TEST(RecoverctlTexts, CompletionsHoldEveryCommand) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::string script = completion_script(command_line(), shell);
    expect_everywhere(command_line(), script);
  }
  EXPECT_EQ(completion_script(command_line(), "tcsh"), "");
}

TEST(RecoverctlTexts, BashCompletes) {
  const Program run("/nowhere");
  const std::string script =
      run.write("completion.bash", completion_script(command_line(), "bash"));
  const std::string line = ". " + script +
                           "; COMP_WORDS=(recoverctl breaker r); COMP_CWORD=2; _recoverctl; "
                           "test \"${COMPREPLY[*]}\" = reset";
  EXPECT_EQ(std::system(("bash -c '" + line + "'").c_str()), 0);
}

TEST(RecoverctlTexts, ManualHoldsEveryCommand) {
  std::string page = manual_page(command_line());
  page = std::regex_replace(page, std::regex("\\\\-"), "-");
  expect_everywhere(command_line(), page);
  EXPECT_EQ(page.rfind(".TH RECOVERCTL 8", 0), 0U);
}

TEST(RecoverctlTable, TheWidestColumnGivesWay) {
  Terminal terminal;
  terminal.width = 40;
  Table table({"NAME", "DETAIL"});
  table.add({{"web"}, {"a very long sentence that does not fit at all"}});
  table.add({{"dätä"}, {"short\x1b[31m"}});
  EXPECT_EQ(table.text(terminal),
            "NAME  DETAIL\n"
            "web   a very long sentence that does no…\n"
            "dätä  short?[31m\n");
}

Table incident_table(const std::string& cause) {
  Table table({"INCIDENT", "SERVICE", "STATE", "SEVERITY", "CLASS", "OPENED", "CAUSE"});
  table.ends_in_prose();
  table.add({{"inc-1"},
             {"web"},
             {"awaiting_approval"},
             {"critical"},
             {"service_failure"},
             {"2026-11-22 13:35:40"},
             {cause}});
  return table;
}

std::vector<std::size_t> line_widths(const std::string& text) {
  std::vector<std::size_t> widths;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) widths.push_back(columns_of(line));
  return widths;
}

TEST(RecoverctlTable, ALongCauseStaysInItsLine) {
  std::string cause = "pid 7 ended with exit status 1; last output:\nфайл не найден: 設定ファイル";
  for (int i = 0; i < 200; ++i) cause += " größer";
  const Table table = incident_table(cause.substr(0, cause.size() - 3));  // Cut within an "ö…".
  Terminal terminal;
  terminal.width = 80;
  for (const std::size_t width : line_widths(table.text(terminal))) EXPECT_LE(width, 80U);
  EXPECT_EQ(line_widths(table.text(terminal)).size(), 2U);
  // Nobody said how wide: every name is whole, and the prose still has an end.
  const std::string piped = table.text(Terminal{});
  for (const char* whole : {"awaiting_approval", "service_failure", "2026-11-22 13:35:40", "…"}) {
    EXPECT_NE(piped.find(whole), std::string::npos) << whole;
  }
  for (const std::size_t width : line_widths(piped)) EXPECT_LE(width, 120U);
  EXPECT_NE(incident_table("short").text(Terminal{}).find("  short\n"), std::string::npos);
}

TEST(RecoverctlTable, WhatIsNoTextBecomesSomethingHarmless) {
  EXPECT_EQ(printable("a\xC3(b\xFF"
                      "c\xE2\x82"),
            "a?(b?c??");
  EXPECT_EQ(printable("\xC2\x9B"
                      "31m"),
            "?31m")
      << "a control character of 8 bits";
  EXPECT_EQ(printable("größer 設定"), "größer 設定");
  EXPECT_EQ(columns_of("\xE2"
                       "abc"),
            4U)
      << "a broken sequence swallows nothing";
}

TEST(RecoverctlTable, ColourOnlyWhenThereIs) {
  Terminal terminal;
  EXPECT_EQ(painted(terminal, Tone::Bad, "failed"), "failed");
  terminal.colour = true;
  EXPECT_EQ(painted(terminal, tone_of("failed"), "failed"), "\x1b[31mfailed\x1b[0m");
  EXPECT_EQ(columns_of("日本"), 4U);
  EXPECT_EQ(cut("日本語", 5), "日本…");
}

TEST(YamlEdit, ReplacesInPlace) {
  const std::string yaml = "a: {b: 1, c: \"x\"}  # one\nd:\n  e: old # two\n  l: [p, q]\n";
  EXPECT_EQ(*with_yaml_value(yaml, "a.b", "2"),
            std::regex_replace(yaml, std::regex("b: 1"), "b: 2"));
  EXPECT_EQ(*with_yaml_value(yaml, "a.c", "y z"),
            std::regex_replace(yaml, std::regex("\"x\""), "y z"));
  EXPECT_EQ(*with_yaml_value(yaml, "d.e", "a, b"),
            std::regex_replace(yaml, std::regex("old"), "\"a, b\""));
  EXPECT_EQ(*with_yaml_value(yaml, "d.l.1", "r"), std::regex_replace(yaml, std::regex("q"), "r"));
  EXPECT_EQ(*with_yaml_value(yaml, "d.f", "new"),
            std::regex_replace(yaml, std::regex("  e: old"), "  f: new\n  e: old"));
  EXPECT_EQ(*with_yaml_value(yaml, "a.z", "3"),
            std::regex_replace(yaml, std::regex("\\{b"), "{z: 3, b"));
  EXPECT_EQ(*with_yaml_value(yaml, "d.g.h", "1"),
            std::regex_replace(yaml, std::regex("  e: old"), "  g: {h: 1}\n  e: old"));
  EXPECT_FALSE(with_yaml_value(yaml, "d", "1").has_value());
  EXPECT_FALSE(with_yaml_value("a: [", "a", "1").has_value());
}

}  // namespace
}  // namespace recover::apps
