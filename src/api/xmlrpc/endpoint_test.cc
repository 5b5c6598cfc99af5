// The methods, on the real engine: names, structs, faults and roles as supervisord's clients
// expect.
#include "api/xmlrpc/endpoint.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "test/api_daemon.h"

namespace recover::api::xmlrpc {
namespace {

using api_test::Daemon;

class Asking {
 public:
  explicit Asking(core::Policy policy = api_test::small_policy())
      : daemon(std::move(policy)), endpoint(backend()) {}

  // Polls what waits; nothing of this daemon needs time.
  Outcome call(std::string_view method, Array parameters = {}, Role role = Role::Admin) {
    Answer answer = endpoint.call({role, "uid:0(root)"}, method, parameters);
    if (auto* outcome = std::get_if<Outcome>(&answer)) return *outcome;
    for (int i = 0; i < 5'000; ++i) {
      if (auto outcome = std::get<Later>(answer)()) return *outcome;
      daemon.look_at_all();
    }
    return Unexpected<Fault>(fault(Code::Failed, "it never ends"));
  }
  Code code(std::string_view method, Array parameters = {}, Role role = Role::Admin) {
    const Outcome outcome = call(method, std::move(parameters), role);
    return outcome ? Code::Success : outcome.error().code;
  }
  std::string state(const std::string& name) {
    const Outcome info = call("supervisor.getProcessInfo", {name});
    return info ? *info->member("statename")->text() : info.error().text;
  }

  Daemon daemon;
  std::vector<std::string> printed = {"one\n", "two\n"};
  bool ended = false;
  Reloaded next;  // What the file would change.
  int reloads = 0;
  Endpoint endpoint;

 private:
  Backend backend() {
    Backend backend = daemon.backend();
    backend.output = [this](core::ServiceIndex, std::uint32_t, std::uint64_t from,
                            std::size_t bytes) {
      std::string all;
      for (const std::string& line : printed) all += line;
      const auto begin = std::min<std::uint64_t>(from, all.size());
      return Output{begin, all.size(), all.substr(begin, bytes)};
    };
    backend.clear_output = [this](core::ServiceIndex, std::uint32_t) { printed.clear(); };
    backend.preview = [this]() -> Result<Reloaded, Mistakes> { return next; };
    backend.reload = [this]() -> Result<Reloaded, Mistakes> {
      ++reloads;
      return next;
    };
    backend.shutdown = [this] { ended = true; };
    backend.pid = 42;
    return backend;
  }
};

TEST(XmlRpcEndpoint, SaysWhoItIs) {
  Asking asking;
  EXPECT_EQ(*asking.call("supervisor.getAPIVersion")->text(), "3.0");
  EXPECT_EQ(*asking.call("supervisor.getVersion")->text(), "3.0");
  EXPECT_EQ(*asking.call("supervisor.getIdentification")->text(), "recoverd");
  EXPECT_TRUE(asking.call("supervisor.getSupervisorVersion")->text()->starts_with("4."));
  EXPECT_EQ(std::get<std::int64_t>(asking.call("supervisor.getPID")->is), 42);
  const Outcome state = asking.call("supervisor.getState");
  EXPECT_EQ(*state->member("statename")->text(), "RUNNING");
  EXPECT_EQ(std::get<std::int64_t>(state->member("statecode")->is), 1);
}

TEST(XmlRpcEndpoint, AProcessHasEveryMember) {
  Asking asking;
  const Outcome all = asking.call("supervisor.getAllProcessInfo");
  ASSERT_TRUE(all && all->items()->size() == 2);
  for (const Value& info : *all->items()) {
    for (const char* text : {"name", "group", "statename", "spawnerr", "logfile", "stdout_logfile",
                             "stderr_logfile", "description"}) {
      ASSERT_TRUE(info.member(text) != nullptr && info.member(text)->text() != nullptr) << text;
    }
    for (const char* number : {"start", "stop", "now", "state", "exitstatus", "pid"}) {
      ASSERT_TRUE(info.member(number) != nullptr &&
                  std::holds_alternative<std::int64_t>(info.member(number)->is))
          << number;
    }
    EXPECT_EQ(std::get<std::int64_t>(info.member("state")->is), 20);
    EXPECT_TRUE(info.member("description")->text()->starts_with("pid "));
  }
  EXPECT_EQ(*all->items()->front().member("name")->text(), "db");
  // It can be scaled, so its instances have numbers.
  EXPECT_EQ(*all->items()->back().member("group")->text(), "web");
  EXPECT_EQ(*all->items()->back().member("name")->text(), "0");
}

TEST(XmlRpcEndpoint, StopsAndStarts) {
  Asking asking;
  EXPECT_EQ(asking.code("supervisor.startProcess", {"db"}), Code::AlreadyStarted);
  EXPECT_EQ(asking.code("supervisor.stopProcess", {"db"}), Code::Success);
  EXPECT_EQ(asking.state("db"), "STOPPED");
  EXPECT_EQ(asking.code("supervisor.stopProcess", {"db"}), Code::NotRunning);
  EXPECT_EQ(asking.code("supervisor.startProcess", {"db", true}), Code::Success);
  EXPECT_EQ(asking.state("db"), "RUNNING");
  EXPECT_EQ(asking.code("supervisor.startProcess", {"nosuch"}), Code::BadName);
  EXPECT_EQ(asking.code("supervisor.stopProcess", {"web:7"}), Code::BadName);
  EXPECT_EQ(asking.code("supervisor.stopProcess", {7}), Code::IncorrectParameters);
  EXPECT_EQ(asking.code("supervisor.stopProcess"), Code::IncorrectParameters);
}

TEST(XmlRpcEndpoint, GroupsAnswerAStatusEach) {
  Asking asking;
  const Outcome stopped = asking.call("supervisor.stopAllProcesses");
  ASSERT_TRUE(stopped && stopped->items()->size() == 2);
  for (const Value& each : *stopped->items()) {
    EXPECT_EQ(std::get<std::int64_t>(each.member("status")->is), 80);
    EXPECT_EQ(*each.member("description")->text(), "OK");
  }
  EXPECT_TRUE(asking.call("supervisor.stopAllProcesses")->items()->empty());
  const Outcome started = asking.call("supervisor.startProcessGroup", {"web"});
  ASSERT_TRUE(started && started->items()->size() == 1);
  EXPECT_EQ(asking.state("web:0"), "RUNNING");
  EXPECT_EQ(asking.call("supervisor.startAllProcesses", {false})->items()->size(), 1U);
  EXPECT_EQ(asking.code("supervisor.startProcessGroup", {"nosuch"}), Code::BadName);
}

TEST(XmlRpcEndpoint, AFailedStartIsToldAtOnce) {
  Asking asking;
  asking.code("supervisor.stopProcess", {"db"});
  asking.daemon.held.insert(core::ActionKind::Start);
  Answer answer = asking.endpoint.call({Role::Admin, "a"}, "supervisor.startProcess", {"db"});
  const Later wait = std::get<Later>(answer);
  EXPECT_FALSE(wait().has_value());
  EXPECT_FALSE(wait().has_value());
  core::CommandFinished failed;
  failed.command = asking.daemon.engine().state().services[0].supervision;
  failed.outcome = core::CommandOutcome::Failed;
  failed.detail = "exited with 1";
  asking.daemon.apply(failed);
  const auto outcome = wait();
  ASSERT_TRUE(outcome && !*outcome);
  EXPECT_EQ(outcome->error().code, Code::AbnormalTermination);
}

TEST(XmlRpcEndpoint, SignalsGoThroughTheCore) {
  Asking asking;
  EXPECT_EQ(asking.code("supervisor.signalProcess", {"db", "HUP"}), Code::Success);
  EXPECT_EQ(asking.code("supervisor.signalProcess", {"db", "sigusr1"}), Code::Success);
  EXPECT_EQ(asking.code("supervisor.signalProcess", {"db", 15}), Code::Success);
  EXPECT_EQ(asking.code("supervisor.signalProcess", {"db", "NONSENSE"}), Code::BadSignal);
  EXPECT_EQ(asking.code("supervisor.signalProcess", {"db", "0"}), Code::BadSignal);
  EXPECT_EQ(asking.call("supervisor.signalAllProcesses", {"HUP"})->items()->size(), 2U);
  asking.code("supervisor.stopProcess", {"db"});
  EXPECT_EQ(asking.code("supervisor.signalProcess", {"db", "HUP"}), Code::NotRunning);
  ports::Filter notices;
  notices.type = "operator:service";
  const auto found = asking.daemon.journal().find(notices);
  ASSERT_FALSE(found->empty());
  EXPECT_NE(found->front().entry.body.find("signal 1 to db"), std::string::npos);
  EXPECT_NE(found->front().entry.body.find("uid:0(root)"), std::string::npos);
}

TEST(XmlRpcEndpoint, RolesAreThoseOfTheRestApi) {
  Asking asking;
  EXPECT_EQ(asking.code("supervisor.getAllProcessInfo", {}, Role::Viewer), Code::Success);
  EXPECT_EQ(asking.code("supervisor.stopProcess", {"db"}, Role::Viewer), Code::Forbidden);
  EXPECT_EQ(asking.code("supervisor.readProcessStdoutLog", {"db", 0, 0}, Role::Viewer),
            Code::Forbidden);
  EXPECT_EQ(asking.code("supervisor.shutdown", {}, Role::Operator), Code::Forbidden);
  EXPECT_FALSE(asking.ended);
  EXPECT_EQ(asking.state("db"), "RUNNING");
}

TEST(XmlRpcEndpoint, LogsHaveOffsets) {
  Asking asking;
  const auto read = [&](int offset, int length) {
    const Outcome got = asking.call("supervisor.readProcessStdoutLog", {"db", offset, length});
    return got ? *got->text() : got.error().text;
  };
  EXPECT_EQ(read(0, 0), "one\ntwo\n");
  EXPECT_EQ(read(-4, 0), "two\n");
  EXPECT_EQ(read(-1600, 0), "one\ntwo\n");
  EXPECT_EQ(read(4, 2), "tw");
  EXPECT_EQ(read(99, 5), "");
  EXPECT_EQ(read(-4, 5), "BAD_ARGUMENTS: offset and length");
  EXPECT_EQ(asking.code("supervisor.readProcessStderrLog", {"db", 0, 0}), Code::NoFile);
  const Outcome tail = asking.call("supervisor.tailProcessStdoutLog", {"db", 0, 4});
  EXPECT_EQ(*(*tail->items())[0].text(), "two\n");
  EXPECT_EQ(std::get<std::int64_t>((*tail->items())[1].is), 8);
  EXPECT_TRUE(std::get<bool>((*tail->items())[2].is));
  const Outcome fresh = asking.call("supervisor.tailProcessStdoutLog", {"db", 4, 100});
  EXPECT_EQ(*(*fresh->items())[0].text(), "two\n");
  EXPECT_FALSE(std::get<bool>((*fresh->items())[2].is));
  EXPECT_EQ(asking.code("supervisor.clearProcessLogs", {"db"}), Code::Success);
  EXPECT_EQ(read(0, 0), "");
  EXPECT_NE(asking.call("supervisor.readLog", {-200, 0})->text()->find("cleared the output of db"),
            std::string::npos);
  EXPECT_EQ(asking.code("supervisor.clearLog"), Code::Failed);
}

TEST(XmlRpcEndpoint, UpdateTakesTheFileOverOnce) {
  Asking asking;
  asking.next.restarted = {"db", "web"};
  const Outcome lists = asking.call("supervisor.reloadConfig");
  ASSERT_TRUE(lists.has_value());
  EXPECT_EQ(asking.reloads, 0);
  EXPECT_EQ((*lists->items())[0].items()->at(1).items()->size(), 2U);
  // As `supervisorctl update` goes about it.
  EXPECT_EQ(asking.code("supervisor.removeProcessGroup", {"db"}), Code::StillRunning);
  for (const char* name : {"db", "web"}) {
    EXPECT_EQ(asking.code("supervisor.stopProcessGroup", {name}), Code::Success) << name;
    EXPECT_EQ(asking.code("supervisor.removeProcessGroup", {name}), Code::Success) << name;
    EXPECT_EQ(asking.code("supervisor.addProcessGroup", {name}), Code::Success) << name;
  }
  EXPECT_EQ(asking.reloads, 1);
  asking.daemon.look_at_all();
  EXPECT_EQ(asking.state("db"), "RUNNING");
  EXPECT_EQ(asking.code("supervisor.addProcessGroup", {"db"}), Code::AlreadyAdded);
  EXPECT_EQ(asking.code("supervisor.addProcessGroup", {"nosuch"}), Code::BadName);
  asking.next = {};
  asking.next.changed = {"db"};  // Only how it is watched: nobody would ask for it.
  asking.code("supervisor.reloadConfig");
  EXPECT_EQ(asking.reloads, 2);
}

// A thousand long answers to one short request would be the daemon's memory.
TEST(XmlRpcEndpoint, MulticallAnswersNoMoreThanItsBound) {
  Asking asking;
  asking.printed = {std::string(1U << 20U, 'x')};
  const Value one(Struct{{"methodName", Value("supervisor.readProcessStdoutLog")},
                         {"params", Value(Array{Value("db"), Value(0), Value(1 << 20)})}});
  EXPECT_TRUE(asking.call("system.multicall", {Value(Array(8, one))}));
  const Outcome refused = asking.call("system.multicall", {Value(Array(900, one))});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::Failed);
}

TEST(XmlRpcEndpoint, MulticallGoesOn) {
  Asking asking;
  const auto one = [](const char* name, Array params) {
    return Value(Struct{{"methodName", name}, {"params", std::move(params)}});
  };
  const Outcome answers = asking.call(
      "system.multicall",
      // Value: in braces alone, an array of one array is that array itself to some compilers.
      {Value(Array{one("supervisor.stopProcess", {"db"}), one("supervisor.getProcessInfo", {"db"}),
                   one("nosuch", {}), one("system.multicall", {Value(Array())}),
                   Value(Struct{})})});
  ASSERT_TRUE(answers && answers->items()->size() == 5);
  const Array& each = *answers->items();
  EXPECT_TRUE(std::get<bool>(each[0].is));
  EXPECT_EQ(*each[1].member("statename")->text(), "STOPPED");
  EXPECT_EQ(std::get<std::int64_t>(each[2].member("faultCode")->is), 1);
  EXPECT_EQ(std::get<std::int64_t>(each[3].member("faultCode")->is), 2);
  EXPECT_EQ(std::get<std::int64_t>(each[4].member("faultCode")->is), 2);
}

TEST(XmlRpcEndpoint, ExplainsItself) {
  Asking asking;
  const Outcome names = asking.call("system.listMethods");
  EXPECT_EQ(names->items()->size(), methods().size());
  for (const Value& name : *names->items()) {
    EXPECT_FALSE(asking.call("system.methodHelp", {*name.text()})->text()->empty());
    EXPECT_FALSE(asking.call("system.methodSignature", {*name.text()})->items()->empty());
  }
  EXPECT_EQ(asking.code("system.methodHelp", {"nosuch"}), Code::SignatureUnsupported);
  EXPECT_EQ(asking.code("nosuch"), Code::UnknownMethod);
}

TEST(XmlRpcEndpoint, TheEndIsTheEnd) {
  Asking asking;
  EXPECT_EQ(asking.code("supervisor.sendProcessStdin", {"db", "x"}), Code::NoFile);
  EXPECT_EQ(asking.code("supervisor.sendRemoteCommEvent", {"deploy", "v2"}), Code::Success);
  EXPECT_EQ(asking.code("supervisor.restart"), Code::Success);
  EXPECT_EQ(asking.reloads, 1);
  EXPECT_EQ(asking.code("supervisor.shutdown"), Code::Success);
  EXPECT_TRUE(asking.ended);
  EXPECT_EQ(asking.code("supervisor.getState"), Code::ShutdownState);
  EXPECT_EQ(asking.code("system.listMethods"), Code::Success);
}

}  // namespace
}  // namespace recover::api::xmlrpc
