// A daemon small enough for tests: the real engine, a journal in memory, and a world in which
// processes start at once and probes see what the test says.
//
// By hand: time moves 1 ms with each event, nothing runs by itself. With serve(): a thread of its
// own, real time, the API on a unix socket in a folder that goes away with it.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <recover/check.h>
#include <recover/time.h>

#include "api/backend.h"
#include "api/server.h"
#include "core/engine.h"

namespace recover::api_test {

using namespace std::chrono_literals;

class MemoryJournal final : public ports::Journal {
 public:
  Result<std::uint64_t, ports::JournalError> append(std::span<const ports::Entry> entries,
                                                    ports::Durability /*durability*/) override {
    for (const ports::Entry& entry : entries) rows_.push_back({rows_.size() + 1, entry});
    return rows_.size();
  }
  Result<void, ports::JournalError> replay(
      std::uint64_t first, const std::function<bool(const ports::StoredEntry&)>& visit) override {
    for (const ports::StoredEntry& row : rows_) {
      if (row.sequence >= first && !visit(row)) break;
    }
    return {};
  }
  Result<std::optional<ports::StoredEntry>, ports::JournalError> latest(
      ports::EntryKind /*kind*/) override {
    return std::optional<ports::StoredEntry>();
  }
  Result<std::vector<ports::StoredEntry>, ports::JournalError> find(
      const ports::Filter& filter) override {
    std::vector<ports::StoredEntry> found;
    if (filter.oldest) {
      for (const ports::StoredEntry& row : rows_) {
        if (found.size() < filter.limit && fits(row, filter)) found.push_back(row);
      }
      return found;
    }
    for (auto row = rows_.rbegin(); row != rows_.rend() && found.size() < filter.limit; ++row) {
      if (fits(*row, filter)) found.push_back(*row);
    }
    std::reverse(found.begin(), found.end());
    return found;
  }
  Result<ports::Verification, ports::JournalError> verify() override {
    return ports::Verification{rows_.size(), broken_at, broken_at == 0 ? "" : "hash differs"};
  }

  std::uint64_t broken_at = 0;

 private:
  static bool fits(const ports::StoredEntry& row, const ports::Filter& filter) {
    const ports::Entry& entry = row.entry;
    return row.sequence > filter.after &&
           (!filter.since_wall_ns || entry.wall_ns >= *filter.since_wall_ns) &&
           (!filter.kind || entry.kind == *filter.kind) && entry.type.starts_with(filter.type) &&
           (filter.service.empty() || entry.service == filter.service) &&
           (filter.recovery == 0 || entry.recovery == filter.recovery) &&
           (filter.incident == 0 || entry.incident == filter.incident);
  }
  std::vector<ports::StoredEntry> rows_;
};

// Holds one checkpoint of web, called last-good.
class OneCheckpoint final : public ports::CheckpointStore {
 public:
  using Error = ports::CheckpointError;
  Result<ports::TakenCheckpoint, Error> take(const ports::TakeRequest& /*request*/) override {
    return ports::TakenCheckpoint{.id = "c0ffee"};
  }
  Result<void, Error> name(std::string_view /*service*/, std::string_view /*checkpoint*/,
                           std::string_view /*name*/) override {
    return {};
  }
  Result<std::vector<ports::CheckpointInfo>, Error> list(std::string_view service) override {
    if (service == ports::kConfigurationHistory) return versions();
    if (service != "web") return std::vector<ports::CheckpointInfo>();
    return std::vector{info()};
  }
  Result<ports::CheckpointContents, Error> show(std::string_view /*service*/,
                                                std::string_view /*checkpoint*/) override {
    ports::CheckpointContents contents{.info = info()};
    contents.files.push_back({.path = "/etc/web/web.conf", .size = 42, .sha256 = "ab"});
    return contents;
  }
  Result<ports::RestoreReport, Error> restore(const ports::RestoreRequest& /*request*/) override {
    return ports::RestoreReport{};
  }
  void call_it(const std::string& name) {
    if (std::find(names_.begin(), names_.end(), name) == names_.end()) names_.push_back(name);
  }
  Result<std::vector<std::string>, Error> prune(const ports::PruneRequest& request) override {
    if (request.service == "web") return std::vector<std::string>{"0ld"};
    return std::vector<std::string>();
  }
  Result<std::string, Error> difference(std::string_view /*service*/, std::string_view before,
                                        std::string_view after) override {
    return "--- " + std::string(before) + "\n+++ " + std::string(after) + "\n";
  }

 private:
  ports::CheckpointInfo info() const {
    return {.id = "c0ffee",
            .service = "web",
            .names = names_,
            .wall_ns = 1'769'860'800'000'000'000,
            .paths = {"/etc/web"},
            .facts = {},
            .files = 1,
            .bytes = 42};
  }
  // Of the configuration, newest first.
  static std::vector<ports::CheckpointInfo> versions() {
    std::vector<ports::CheckpointInfo> both(2);
    both[0].id = "cafe0002";
    both[1].id = "cafe0001";
    for (ports::CheckpointInfo& one : both) {
      one.service = ports::kConfigurationHistory;
      one.wall_ns = 1'769'860'800'000'000'000;
      one.paths = {"/etc/recoverd/recoverd.yaml"};
      one.files = 1;
    }
    return both;
  }
  std::vector<std::string> names_ = {"last-good"};
};

inline core::Policy small_policy() {
  core::Policy policy;
  policy.recovery.mode = core::Mode::Automatic;
  policy.safety.cooldown = 30s;
  core::StepPolicy step;
  step.name = "Restart it";
  step.action = core::ActionKind::Restart;
  step.timeout = 30s;
  core::PlaybookPolicy playbook;
  playbook.id = "restart_it";
  playbook.name = "Restart it";
  playbook.triggers.resize(2);
  playbook.triggers[0].failure = core::FailureClass::ServiceFailure;
  playbook.triggers[1].symptom = core::Symptom::ProcessCrash;
  playbook.steps.push_back(step);
  playbook.validation.within = 5s;
  playbook.validation.stable_for = 0s;
  playbook.validation.success_criteria.push_back(
      core::Expression::parse("service_running == true").value());
  policy.playbooks.push_back(playbook);
  core::ServicePolicy service;
  service.playbooks = {core::PlaybookIndex{0}};
  service.playbooks_listed = true;
  service.priority = core::Priority::High;
  service.rto = 15min;
  service.name = "db";
  core::RunSpec run;
  run.command = {"/bin/true"};
  service.spec = run;
  service.probes.resize(1);
  service.probes[0].spec = core::TcpProbe{.host = "127.0.0.1", .port = 5432};
  policy.services.push_back(service);
  service.name = "web";
  run.scale_max = 4;
  service.spec = run;
  service.depends_on = {core::ServiceIndex{0}};
  service.state = {"/etc/web"};
  policy.services.push_back(service);
  core::PatternPolicy pattern;
  pattern.id = "api_timeout";
  pattern.pattern = "timeout|ETIMEDOUT";
  pattern.category = "network";
  policy.patterns.push_back(pattern);
  return policy;
}

class Daemon {
 public:
  static constexpr core::ServiceIndex kDb{0};
  static constexpr core::ServiceIndex kWeb{1};
  static constexpr std::int64_t kWallStart = 1'769'860'800'000'000'000;  // 2026-01-31T12:00:00Z

  explicit Daemon(core::Policy policy = small_policy())
      : engine_(std::move(policy), Instant() + 1s) {
    apply(core::EngineStarted{.first = true});
    settle();
    for (int round = 0; round < 3; ++round) look_at_all();
  }
  ~Daemon() {
    if (!thread_.joinable()) return;
    boost::asio::post(loop_, [this] {
      server_->stop();
      ticker_.cancel();
      stopping_ = true;
    });
    thread_.join();
    std::filesystem::remove_all(folder_);
  }
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  api::Backend backend() {
    api::Backend backend;
    backend.engine = [this]() -> const core::Engine& { return engine_; };
    backend.journal = &journal_;
    backend.post = [this](core::Event event) { post(std::move(event)); };
    backend.now = [this] { return now_; };
    backend.wall_ns = [](Instant at) { return kWallStart + (at - (Instant() + 1s)).count(); };
    backend.looks = [this](core::ServiceIndex service) { return std::vector{looks_[service]}; };
    backend.beat = [](core::ServiceIndex service) { return service == kWeb ? 1U : 0U; };
    backend.tail = [](core::ServiceIndex service, std::size_t lines) {
      std::vector<std::string> all{"2026-01-31T11:00:00Z INFO old", "no time here",
                                   "2026-01-31T12:00:00.500Z ERROR new"};
      if (service == kDb) all.clear();
      if (all.size() > lines) all.erase(all.begin(), all.end() - static_cast<long>(lines));
      return all;
    };
    backend.configuration = [this] { return yaml; };
    backend.reload = [this] { return read(yaml); };
    backend.replace_configuration = [this](std::string_view text) { return read(text); };
    backend.resources = [] {
      return std::vector<api::ResourceReading>{{"cpu", 0.25, "normal"},
                                               {"disk:/", 0.9, "critical"}};
    };
    backend.checkpoints = &checkpoints_;
    backend.configuration_history = [] { return std::string(ports::kConfigurationHistory); };
    return backend;
  }

  // Serves on a socket until the end. `options.socket` is filled in.
  const std::string& serve(api::ServerOptions options = {}) {
    std::string pattern = (std::filesystem::temp_directory_path() / "api_XXXXXX").string();
    RECOVER_CHECK(::mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    socket_ = folder_ + "/api.sock";
    options.socket = socket_;
    auto server = api::Server::listen(loop_, std::move(options), backend());
    RECOVER_CHECK(server.has_value());
    server_ = std::move(*server);
    began_ = std::chrono::steady_clock::now();
    began_at_ = now_;
    tick();
    thread_ = std::thread([this] { loop_.run(); });
    return socket_;
  }

  // On the loop's thread once served; returns when done.
  void act(const std::function<void()>& what) {
    if (!thread_.joinable()) return what();
    std::promise<void> done;
    boost::asio::post(loop_, [&] {
      what();
      done.set_value();
    });
    done.get_future().wait();
  }

  void apply(const core::Event& event) {
    const Instant real = began_at_ + (std::chrono::steady_clock::now() - began_);
    now_ = thread_.joinable() ? std::max(now_, real) : now_ + 1ms;
    engine_.step(event, now_, output_);
    if (!output_.changed) return;
    record(event);
    commands_.insert(commands_.end(), output_.commands.begin(), output_.commands.end());
    probes_.insert(probes_.end(), output_.probes.begin(), output_.probes.end());
  }

  // Performs what the engine asked for until it asks no more.
  void settle() {
    constexpr int kRoundsMax = 1'000;
    for (int round = 0; round < kRoundsMax && !(commands_.empty() && probes_.empty()); ++round) {
      if (!commands_.empty()) {
        const core::Command command = commands_.front();
        commands_.pop_front();
        if (!held.contains(command.action)) perform(command);
      } else {
        const core::ProbeRequest request = probes_.front();
        probes_.pop_front();
        look_at(request.service);
      }
    }
  }

  void look_at_all() {
    look_at(kDb);
    look_at(kWeb);
    settle();
  }

  // Kills the service's process.
  void crash(core::ServiceIndex service) {
    apply(core::ProcessExited{.service = service,
                              .instance = 0,
                              .incarnation = running_[service],
                              .code = -1,
                              .signal = 9,
                              .expected = false});
    settle();
  }

  const core::Engine& engine() const { return engine_; }
  MemoryJournal& journal() { return journal_; }
  Instant now() const { return now_; }

  std::string yaml = "auto_recovery:\n  recovery: {mode: shadow}  # kept\n";
  std::set<core::ServiceIndex> broken;  // Their probes fail.
  std::set<core::ActionKind> held;      // These commands are never finished.
  bool blind = false;                   // No probe looks.
  std::vector<std::string> changed;     // What a reload says it changed.

 private:
  void post(core::Event event) {
    const auto handle = [this, event = std::move(event)] {
      apply(event);
      settle();
    };
    if (thread_.joinable()) {
      boost::asio::post(loop_, handle);
    } else {
      handle();
    }
  }

  void tick() {
    ticker_.expires_after(20ms);
    ticker_.async_wait([this](const boost::system::error_code& error) {
      if (error || stopping_) return;
      apply(core::TimerFired{});
      settle();
      look_at_all();
      tick();
    });
  }

  // Those POST /patterns wrote, beside the one that is always there.
  void learn_patterns() {
    constexpr std::string_view kBegin = "{\"id\":\"";
    core::Policy policy = engine_.policy();
    policy.patterns.resize(1);
    for (auto at = yaml.find(kBegin); at != std::string::npos; at = yaml.find(kBegin, at + 1)) {
      const std::size_t name = at + kBegin.size();
      core::PatternPolicy pattern;
      pattern.id = yaml.substr(name, yaml.find('"', name) - name);
      policy.patterns.push_back(pattern);
    }
    engine_.replace_policy(policy, now_, output_);
  }

  Result<api::Reloaded, api::Mistakes> read(std::string_view text) {
    if (text.find("nonsense") != std::string_view::npos) {
      return Unexpected<api::Mistakes>({"f.yaml:1:1: unknown key \"nonsense\""});
    }
    yaml = std::string(text);
    learn_patterns();
    return api::Reloaded{.summary = "1 changed", .changed = changed};
  }

  void look_at(core::ServiceIndex service) {
    if (blind) return;
    const bool fails = broken.contains(service);
    looks_[service] = {.state = fails ? core::ProbeState::Failing : core::ProbeState::Passing,
                       .latency = 2ms,
                       .checked_wall_ns = kWallStart + (now_ - (Instant() + 1s)).count(),
                       .started_at = now_ + 1us,
                       .detail = fails ? "connection refused" : ""};
    apply(core::ProbeFinished{
        .service = service,
        .probe = 0,
        .outcome = fails ? core::ProbeOutcome::Failed : core::ProbeOutcome::Passed,
        .latency = 2ms,
        .started_at = now_ + 1us,
        .symptom = core::Symptom::ConnectionRefused,
        .failure = core::FailureClass::Connection,
        .detail = fails ? "connection refused" : ""});
  }

  void start(core::ServiceIndex service) {
    running_[service] = {.pid = next_pid_++, .start_time = 1};
    apply(core::ProcessStarted{service, 0, running_[service], false});
    apply(core::ProcessReady{service, 0, running_[service]});
  }
  void stop(core::ServiceIndex service) {
    apply(core::ProcessExited{service, 0, running_[service], 0, 15, true});
    running_[service] = {};
  }

  // More instances; fewer are not needed here.
  void grow(const core::Command& command) {
    const auto wanted = static_cast<std::uint32_t>(std::stoul(command.text));
    for (std::uint32_t instance = 1; instance < wanted; ++instance) {
      const core::Incarnation incarnation{.pid = next_pid_++, .start_time = 1};
      apply(core::ProcessStarted{command.service, instance, incarnation, false});
      apply(core::ProcessReady{command.service, instance, incarnation});
    }
  }

  void perform(const core::Command& command) {
    const bool restart = command.action == core::ActionKind::Restart;
    if (restart || command.action == core::ActionKind::Stop) stop(command.service);
    if (restart || command.action == core::ActionKind::Start) start(command.service);
    const bool checkpoint = command.action == core::ActionKind::Checkpoint;
    if (checkpoint) checkpoints_.call_it(command.text);
    if (command.action == core::ActionKind::Scale) grow(command);
    apply(core::CommandFinished{.command = command.id,
                                .outcome = core::CommandOutcome::Done,
                                .detail = "",
                                .checkpoint = checkpoint ? "c0ffee" : ""});
  }

  void record(const core::Event& event) {
    const std::int64_t wall = kWallStart + (now_ - (Instant() + 1s)).count();
    std::vector<ports::Entry> entries;
    entries.push_back({.kind = ports::EntryKind::Event,
                       .wall_ns = wall,
                       .at = now_,
                       .type = std::string(core::name_of(event)),
                       .service = {},
                       .incident = 0,
                       .recovery = 0,
                       .body = "{}"});
    for (const core::Notice& notice : output_.notices) entries.push_back(row_of(notice, wall));
    RECOVER_CHECK(journal_.append(entries, ports::Durability::ProcessCrash).has_value());
  }

  ports::Entry row_of(const core::Notice& notice, std::int64_t wall) const {
    namespace json = boost::json;
    json::array reasons;
    for (const core::Reason& reason : notice.reasons) {
      json::object object;
      object["rule"] = core::to_string(reason.rule);
      object["verdict"] = core::to_string(reason.verdict);
      object["detail"] = reason.detail;
      reasons.push_back(object);
    }
    json::object body;
    body["severity"] = core::to_string(notice.severity);
    body["actor"] = notice.actor;
    body["message"] = notice.message;
    body["reasons"] = reasons;
    return {.kind = ports::EntryKind::Notice,
            .wall_ns = wall,
            .at = now_,
            .type = notice.type,
            .service = notice.service ? engine_.policy().service(*notice.service).name : "",
            .incident = notice.incident.value,
            .recovery = notice.recovery.value,
            .body = json::serialize(body)};
  }

  core::Engine engine_;
  MemoryJournal journal_;
  OneCheckpoint checkpoints_;
  core::Output output_;
  std::deque<core::Command> commands_;
  std::deque<core::ProbeRequest> probes_;
  std::map<core::ServiceIndex, core::Incarnation> running_;
  std::map<core::ServiceIndex, api::Look> looks_;
  std::int64_t next_pid_ = 100;
  Instant now_ = Instant() + 1s;

  boost::asio::io_context loop_{1};
  boost::asio::steady_timer ticker_{loop_};
  std::unique_ptr<api::Server> server_;
  std::thread thread_;
  bool stopping_ = false;
  std::chrono::steady_clock::time_point began_;
  Instant began_at_;
  std::string folder_;
  std::string socket_;
};

}  // namespace recover::api_test
