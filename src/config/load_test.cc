#include "config/load.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <variant>
#include <vector>

#include "config/builtin_playbooks.h"
#include "config/example_test.h"
#include "config/memory_files.h"

namespace recover::config {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr const char* kCanary = "canary-7f3d";

MemoryFiles example_files(std::string text = std::string(kExample)) {
  return MemoryFiles(Texts{{"/etc/recoverd.yaml", std::move(text)},
                           {"/run/secrets/token", std::string(kCanary) + "\n"}},
                     {{"DB_DSN", std::string("host=db password=") + kCanary}});
}

std::string lines(const std::vector<Mistake>& mistakes) {
  std::string out;
  for (const Mistake& mistake : mistakes) out += to_string(mistake) + "\n";
  return out;
}

core::Policy load_good(Files& files, const std::string& path = "/etc/recoverd.yaml") {
  auto loaded = load(path, files);
  if (loaded) return std::move(loaded).value().policy;
  ADD_FAILURE() << lines(loaded.error());
  return {};
}

core::Policy load_good(const std::string& text) {
  MemoryFiles files(Texts{{"/etc/recoverd.yaml", text}});
  return load_good(files);
}

TEST(Load, ReadsTheExampleOfTheManual) {
  MemoryFiles files = example_files();
  const core::Policy policy = load_good(files);
  EXPECT_EQ(policy.recovery.mode, core::Mode::Automatic);
  EXPECT_EQ(policy.safety.circuit_breaker.window, minutes{10});
  EXPECT_EQ(policy.safety.blast_radius, 0.25);
  EXPECT_EQ(policy.conditions,
            (std::vector{core::FailureClass::BuildFailure, core::FailureClass::ResourceExhaustion,
                         core::FailureClass::DataInconsistency}));
  EXPECT_EQ(policy.monitoring.disk, (std::vector<std::string>{"/", "/var"}));
  EXPECT_EQ(policy.monitoring.cpu_threshold.over, minutes{5});
  ASSERT_EQ(policy.services.size(), 2U);
  EXPECT_EQ(policy.services[0].rto, minutes{5});
  EXPECT_EQ(policy.patterns.at(0).failure, core::FailureClass::Connection);
  EXPECT_EQ(policy.patterns.at(0).recovery.at(0).type, "reset_connection");
}

TEST(Load, PatternsNameTheirRecovery) {
  const core::Policy policy = load_good(
      "version: 1\n"
      "services: {web: {systemd: w, playbooks: []}, api: {systemd: a}}\n"
      "patterns:\n"
      "  - {id: slow, pattern: x, category: network, recovery: [{type: reset_connection, target: "
      "api, priority: high}, {type: service_recovery_001}, {type: service_recovery_001, target: "
      "api}, {type: restart, target: elsewhere}]}\n");
  const std::vector<core::PatternAction>& actions = policy.patterns.at(0).recovery;
  ASSERT_EQ(actions.size(), 4U);
  const auto playbook = [&](std::size_t at) -> const core::PlaybookPolicy& {
    return policy.playbook(policy.find_playbook(actions[at].playbook).value());
  };
  const core::ServiceIndex api{1};
  EXPECT_EQ(playbook(0).id, "slow:reset_connection@api");
  ASSERT_EQ(playbook(0).steps.size(), 1U);
  EXPECT_EQ(playbook(0).steps[0].action, core::ActionKind::Restart);
  EXPECT_EQ(playbook(0).steps[0].target, api);
  EXPECT_EQ(playbook(0).validation.success_criteria.size(), 2U);
  EXPECT_EQ(actions[0].priority, core::Priority::High);
  EXPECT_EQ(actions[1].playbook, "service_recovery_001");
  EXPECT_EQ(playbook(2).id, "slow:service_recovery_001@api");
  for (const core::StepPolicy& step : playbook(2).steps) EXPECT_EQ(step.target, api);
  EXPECT_EQ(playbook(3).id, "slow:restart");
  EXPECT_FALSE(playbook(3).steps[0].target.has_value());
  // They are for patterns only.
  EXPECT_TRUE(policy.services[0].playbooks.empty());
  for (const core::PlaybookIndex index : policy.services[1].playbooks) {
    EXPECT_TRUE(policy.playbook(index).built_in);
  }
}

TEST(Load, GroupsAndStandbys) {
  const core::Policy policy = load_good(
      "version: 1\n"
      "services:\n"
      "  web: {systemd: w, group: front, standby: spare}\n"
      "  spare: {systemd: s, autostart: false}\n"
      "auto_recovery: {safety: {cooldown: 7s, groups: {front: {max_concurrent_recoveries: 1, "
      "blast_radius: 50%}}}}\n");
  EXPECT_EQ(policy.services[0].standby, core::ServiceIndex{1});
  EXPECT_FALSE(policy.services[1].autostart);
  ASSERT_EQ(policy.safety.groups.size(), 1U);
  EXPECT_EQ(policy.safety.groups[0].name, "front");
  EXPECT_EQ(policy.safety.groups[0].max_concurrent_recoveries, 1U);
  EXPECT_EQ(policy.safety.groups[0].blast_radius, 0.5);
  EXPECT_EQ(policy.safety.cooldown, std::chrono::seconds{7});
}

TEST(Load, ReadsAServiceWithAllItsParts) {
  MemoryFiles files = example_files();
  const core::Policy policy = load_good(files);
  const core::ServicePolicy& web = policy.service(policy.find_service("web").value());
  const auto& run = std::get<core::RunSpec>(web.spec);
  EXPECT_EQ(run.command, (core::Arguments{"nginx", "-g", "daemon off;"}));
  EXPECT_EQ(run.instances, 2U);
  EXPECT_EQ(run.scale_max, 4U);
  EXPECT_EQ(run.limits.memory, 512ULL << 20U);
  EXPECT_EQ(run.limits.cpu, 1.5);
  EXPECT_TRUE(run.ready.notify);
  EXPECT_EQ(run.environment.at(1).second.reveal(), kCanary);
  EXPECT_EQ(web.depends_on, std::vector{policy.find_service("db").value()});
  EXPECT_EQ(web.playbooks, std::vector{policy.find_playbook("service_recovery_001").value()});
  EXPECT_TRUE(web.playbooks_listed);
  EXPECT_EQ(web.probes.at(0).interval, seconds{1});
  EXPECT_EQ(web.probes.at(0).timeout, milliseconds{500});
  EXPECT_EQ(web.probes.at(0).failure_threshold, 3U);
}

TEST(Load, TurnsTheShortFormIntoAPlaybook) {
  MemoryFiles files = example_files();
  const core::Policy policy = load_good(files);
  const auto& playbook = policy.playbook(policy.find_playbook("resource_exhaustion").value());
  ASSERT_EQ(playbook.steps.size(), 3U);
  EXPECT_EQ(playbook.steps[0].action, core::ActionKind::CleanFiles);
  EXPECT_EQ(playbook.steps[2].action, core::ActionKind::Restart);
  EXPECT_EQ(playbook.triggers.at(0).failure, core::FailureClass::ResourceExhaustion);
  EXPECT_EQ(playbook.validation.success_criteria.size(), 2U);
  EXPECT_EQ(playbook.validation.within, seconds{60});
}

TEST(Load, DefaultsComeFromThePolicy) {
  const core::Policy policy = load_good("version: 1\n");
  core::Policy plain;
  plain.playbooks = policy.playbooks;
  EXPECT_EQ(policy, plain);
}

TEST(Load, HasTheBuiltInPlaybooksWithoutMistakes) {
  ASSERT_EQ(builtin_playbooks().size(), 4U);
  const core::Policy policy = load_good(
      "version: 1\nauto_recovery: {recovery: {mode: automatic}}\n"
      "services: {a: {systemd: a.service}}\n");
  ASSERT_EQ(policy.playbooks.size(), 4U);
  EXPECT_EQ(policy.services[0].playbooks.size(), 4U);
  const auto& standard = policy.playbook(policy.find_playbook("service_recovery_001").value());
  EXPECT_TRUE(standard.built_in);
  EXPECT_TRUE(standard.checkpoint_required);
  EXPECT_EQ(standard.name, "Standard service recovery");
  EXPECT_EQ(standard.triggers.size(), 4U);
  EXPECT_EQ(standard.prerequisites.at(0).text(), "maintenance == false");
  EXPECT_EQ(standard.prerequisites.at(1).text(), "disk_available > 5%");
  EXPECT_EQ(standard.steps.at(0).on_failure, core::OnFailure::Continue);
  const core::RetryPolicy& retry = standard.steps.at(1).retry;
  EXPECT_EQ(retry.attempts, 3U);
  EXPECT_EQ(retry.backoff.kind, recover::retry::BackoffKind::Exponential);
  EXPECT_EQ(retry.backoff.max_interval, seconds{30});
  EXPECT_EQ(retry.backoff.jitter, recover::retry::Jitter::Full);
  EXPECT_EQ(standard.validation.success_criteria.size(), 4U);
  EXPECT_EQ(standard.rollback.at(0).action, core::ActionKind::RestoreCheckpoint);
  EXPECT_EQ(standard.escalate, core::Severity::Critical);
}

TEST(Load, AUsersPlaybookReplacesTheBuiltInOne) {
  MemoryFiles files(
      Texts{{"/e/c.yaml", "version: 1\nplaybooks: [p.yaml]\n"},
            {"/e/p.yaml",
             "playbook: service_recovery_001\nsteps: [{action: restart, timeout: 5s}]\n"
             "---\nplaybook: other\nrisk: medium\nsteps: [{action: scale, timeout: 5s}]\n"}});
  const core::Policy policy = load_good(files, "/e/c.yaml");
  EXPECT_EQ(policy.playbooks.size(), 5U);
  const auto& mine = policy.playbook(policy.find_playbook("service_recovery_001").value());
  EXPECT_FALSE(mine.built_in);
  EXPECT_EQ(mine.steps.size(), 1U);
  const auto& other = policy.playbook(policy.find_playbook("other").value());
  EXPECT_EQ(other.steps[0].risk, core::Risk::Medium);
  EXPECT_FALSE(other.steps[0].idempotent);
}

TEST(Load, JoinsIncludedFilesAndKeepsTheirSources) {
  MemoryFiles files(Texts{{"/e/c.yaml",
                           "version: 1\ninclude: [conf.d/*.yaml]\nservices: {a: {systemd: "
                           "a.service, depends_on: [b]}}\n"},
                          {"/e/conf.d/1.yaml", "services: {b: {container: b}}\n"},
                          {"/e/conf.d/2.yaml", "checkpoint: {keep: 3}\n"}});
  const auto loaded = load("/e/c.yaml", files);
  ASSERT_TRUE(loaded) << lines(loaded.error());
  EXPECT_EQ(loaded->policy.services.size(), 2U);
  EXPECT_EQ(loaded->policy.checkpoint.keep, 3U);
  ASSERT_EQ(loaded->sources.size(), 3U);
  EXPECT_EQ(loaded->sources[0].first, "/e/c.yaml");
  EXPECT_EQ(loaded->sources[2].second, "checkpoint: {keep: 3}\n");
}

TEST(Load, ExpandsSecretsAndEscapes) {
  MemoryFiles files(Texts{{"/c.yaml",
                           "version: 1\njournal: {key: '${file:/key}'}\nservices:\n  a:\n    run:\n"
                           "      command: [sh, -c, 'echo $${env:HOME} ${HOME}']\n"
                           "      environment: {A: 'x${env:A}y', B: '$${env:A}', C: '${X:-1}'}\n"},
                          {"/key", std::string(64, 'a') + "\n"}},
                    {{"A", "1"}});
  const core::Policy policy = load_good(files, "/c.yaml");
  EXPECT_EQ(policy.journal_key.reveal(), std::string(32, '\xaa'));
  const auto& run = std::get<core::RunSpec>(policy.services.at(0).spec);
  EXPECT_EQ(run.command.at(2), "echo ${env:HOME} ${HOME}");
  EXPECT_EQ(run.environment.at(0).second.reveal(), "x1y");
  EXPECT_EQ(run.environment.at(1).second.reveal(), "${env:A}");
  EXPECT_EQ(run.environment.at(2).second.reveal(), "${X:-1}");
}

TEST(Load, NoSecretEndsUpInSourcesOrMistakes) {
  MemoryFiles files = example_files();
  const auto loaded = load("/etc/recoverd.yaml", files);
  ASSERT_TRUE(loaded) << lines(loaded.error());
  for (const auto& source : loaded->sources) {
    EXPECT_EQ(source.second.find(kCanary), std::string::npos);
  }
  // The canary wherever a value can be wrong.
  const std::string bad =
      "version: 1\nstate_dir: ${env:DB_DSN}\njournal: {key: '${env:DB_DSN}'}\nservices:\n  a:\n"
      "    systemd: ${env:DB_DSN}\n    priority: ${env:DB_DSN}\n    rto: ${env:DB_DSN}\n"
      "    depends_on: ['${env:DB_DSN}']\n    probes:\n      - postgres: {dsn: '${env:DB_DSN}x', "
      "query: '${file:/run/secrets/token}'}\n      - http: {url: '${env:DB_DSN}', status: "
      "['${env:DB_DSN}'], body_matches: '(${env:DB_DSN}'}\n        interval: ${env:DB_DSN}\n";
  MemoryFiles wrong = example_files(bad);
  const auto refused = load("/etc/recoverd.yaml", wrong);
  ASSERT_FALSE(refused);
  EXPECT_GE(refused.error().size(), 9U);
  EXPECT_EQ(lines(refused.error()).find(kCanary), std::string::npos) << lines(refused.error());
}

TEST(Load, ReadsEveryKindOfProbe) {
  const core::Policy policy = load_good(
      "version: 1\nservices:\n  a:\n    systemd: a\n    probes:\n"
      "      - mysql: {user: monitor, query: SELECT 1}\n"
      "      - dns: {name: web.test, type: AAAA, server: 127.0.0.1, expect: [\"::1\"]}\n"
      "      - tls_expiry: {host: web.test, min_left: 30d}\n"
      "      - heartbeat: {path: /run/beat, every: 1m}\n"
      "      - heartbeat: {every: 1h}\n"
      "      - log: {path: /var/log/a.log, pattern: \"ERROR|panic\", max: 3, window: 10s}\n");
  const auto& probes = policy.services.at(0).probes;
  ASSERT_EQ(probes.size(), 6U);
  EXPECT_EQ(std::get<core::MysqlProbe>(probes[0].spec).port, 3306);
  EXPECT_EQ(std::get<core::DnsProbe>(probes[1].spec).type, core::DnsProbe::Type::Aaaa);
  EXPECT_EQ(std::get<core::TlsExpiryProbe>(probes[2].spec).min_left, std::chrono::hours{720});
  EXPECT_EQ(std::get<core::HeartbeatProbe>(probes[3].spec).every, minutes{1});
  EXPECT_EQ(std::get<core::HeartbeatProbe>(probes[4].spec).path, "") << "the API alone";
  EXPECT_EQ(std::get<core::LogProbe>(probes[5].spec).max, 3U);
  EXPECT_EQ(core::kind_of(probes[5].spec), core::ProbeKind::Log);
}

TEST(Load, ARestoreHasTimeToEnd) {
  MemoryFiles files(
      Texts{{"/etc/recoverd.yaml",
             "version: 1\nplaybooks: [p.yaml]\n"
             "backup: {repositories: {main: {location: /srv/b, password: secret-of-it}},\n"
             "  types: {site: {repository: main, sources: [{paths: [/srv/site]}]}}}\n"},
            {"/etc/p.yaml",
             "playbook: p\nsteps:\n"
             "  - {name: Back, action: restore_backup, timeout: 5s, irreversible: true,\n"
             "     with: {backup: site}}\n"
             "rollback:\n  - {name: Before, action: restore_backup, with: {backup: site}}\n"
             "validation: {success_criteria: [service_running == true]}\n"}});
  const core::Policy policy = load_good(files);
  const auto id = policy.find_playbook("p");
  ASSERT_TRUE(id);
  EXPECT_EQ(policy.playbook(*id).steps.at(0).timeout, seconds{5});
  EXPECT_EQ(policy.playbook(*id).rollback.at(0).timeout, minutes{60});
}

TEST(Load, ReadsWhoMayOperate) {
  EXPECT_EQ(load_good("version: 1\napi: {operator_group: adm}\n").api.operator_group, "adm");
  EXPECT_EQ(load_good("version: 1\n").api.operator_group, "");
}

TEST(Load, FreeResourcesBecomesTheStepsItStandsFor) {
  MemoryFiles files(Texts{
      {"/etc/recoverd.yaml",
       "version: 1\nplaybooks: [p.yaml]\nrecovery_actions:\n"
       "  resource_exhaustion: [free_resources, adjust_limits, restart]\n"},
      {"/etc/p.yaml",
       "playbook: p\nsteps:\n"
       "  - name: Free\n    action: free_resources\n    timeout: 20s\n    irreversible: true\n"
       "    with: {files: {roots: [/srv/tmp], globs: ['*'], older_than: 1h},\n"
       "           queries: {longer_than: 5m}, drop_caches: true}\n"
       "  - {name: More, action: adjust_limits, timeout: 5s, with: {by: 200%, memory_max: 1GiB},\n"
       "     undo: {action: adjust_limits, with: {reset: true}}}\n"
       "  - {name: Rotate, action: rotate_logs, timeout: 5s, irreversible: true,\n"
       "     with: {roots: [/srv/log], globs: ['*.log'], keep: 2}}\n"
       "  - {name: Back, action: git_restore, timeout: 5s, with: {path: /srv/web, paths: [conf]},\n"
       "     undo: {action: git_restore, with: {path: /srv/web, paths: [conf], ref: before}}}\n"
       "  - {name: Flush, action: redis, timeout: 5s, irreversible: true, with: {command: "
       "[PING]}}\n"
       "validation: {success_criteria: [service_running == true]}\n"}});
  const core::Policy policy = load_good(files);
  const auto id = policy.find_playbook("p");
  ASSERT_TRUE(id);
  const auto& steps = policy.playbook(*id).steps;
  ASSERT_EQ(steps.size(), 7U);
  EXPECT_EQ(steps[0].action, core::ActionKind::CleanFiles);
  EXPECT_EQ(steps[0].name, "Free: files");
  EXPECT_EQ(steps[0].timeout, seconds{20});
  EXPECT_EQ(steps[0].on_failure, core::OnFailure::Continue);
  EXPECT_EQ(steps[1].action, core::ActionKind::KillLongQueries);
  EXPECT_EQ(steps[2].action, core::ActionKind::Exec);
  EXPECT_TRUE(steps[2].idempotent);
  EXPECT_EQ(std::get<core::AdjustLimitsAction>(steps[3].with).memory_max, 1ULL << 30U);
  EXPECT_TRUE(std::get<core::AdjustLimitsAction>(steps[3].undo_with).reset);
  EXPECT_FALSE(steps[3].idempotent);
  EXPECT_EQ(std::get<core::GitRestoreAction>(steps[5].undo_with).ref, "before");
  const auto short_form = policy.find_playbook("resource_exhaustion");
  ASSERT_TRUE(short_form);
  const auto& three = policy.playbook(*short_form).steps;
  ASSERT_EQ(three.size(), 3U);
  EXPECT_EQ(three[0].action, core::ActionKind::CleanFiles);
  EXPECT_EQ(three[1].action, core::ActionKind::AdjustLimits);
  EXPECT_EQ(three[2].action, core::ActionKind::Restart);
}

}  // namespace
}  // namespace recover::config
