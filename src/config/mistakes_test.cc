// A snippet that is wrong, and every line that is said about it.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "config/load.h"
#include "config/memory_files.h"
#include "config/near_miss.h"

namespace recover::config {
namespace {

struct Case {
  const char* name;
  const char* text;                   // After "version: 1\n".
  std::vector<const char*> expected;  // "LINE:COL: message"
};

std::vector<std::string> shorts(const std::string& path, Files& files) {
  std::vector<std::string> out;
  const auto loaded = load(path, files);
  if (loaded) return out;
  for (const Mistake& mistake : loaded.error()) {
    std::string text = to_string(mistake);
    if (text.starts_with(path + ":")) text = text.substr(path.size() + 1);
    out.push_back(std::move(text));
  }
  return out;
}

void expect(const Case& each, const std::string& path, Files& files) {
  const std::vector<std::string> wanted(each.expected.begin(), each.expected.end());
  EXPECT_EQ(shorts(path, files), wanted) << each.name;
}

const std::vector<Case>& config_cases() {
  static const std::vector<Case> kCases = {
      {"unknown key",
       "chekpoint: {}\n",
       {"2:1: unknown key `chekpoint` (did you mean `checkpoint`?)"}},
      {"unknown key, nothing near", "zebra: 1\n", {"2:1: unknown key `zebra`"}},
      {"how a process is executed",
       "services:\n  web:\n    run:\n      command: [a]\n      capabilities: [CAP_NET_ADMN]\n"
       "      system_calls: {allow: [\"@sistem-service\", reed]}\n      rlimits: {nofiles: 1, "
       "core: many}\n"
       "      scheduling: {policy: fifo}\n      sockets: [{listen: localhost:80}]\n"
       "      nise: 5\n      type: oneshot\n      watchdog: 1s\n",
       {"5:7: a `oneshot` has no `watchdog`",
        "6:22: no such capability: `CAP_NET_ADMN` (did you mean `CAP_NET_ADMIN`?)",
        "7:30: no such system call: `@sistem-service` (did you mean `@system-service`?)",
        "7:49: no such system call: `reed` (did you mean `read`?)",
        "8:17: no such resource limit: `nofiles` (did you mean `nofile`?)",
        "8:35: expected a limit such as `1024`, `1024:4096`, `64MiB` or `infinity`, found `many`",
        "9:19: `fifo` and `rr` need a `priority` from 1 to 99",
        "10:26: expected an address such as `127.0.0.1:80`, `[::]:80`, `*:80`, `/run/x.sock` or "
        "`udp:127.0.0.1:53`, found `localhost:80`",
        "11:7: unknown key `nise` (did you mean `nice`?)"}},
      {"what comes later",
       "alerts: {}\n",
       {"2:1: alerts: is not supported yet; it comes with the alert engine"}},
      {"an empty backup",
       "backup: {}\n",
       {"2:9: `repositories` is missing", "2:9: `types` is missing"}},
      {"backup",
       "backup:\n"
       "  repositories:\n"
       "    main: {location: srv/backup, password: x, pasword: y}\n"
       "    other: {location: \"mirror:all\", password: x}\n"
       "  types:\n"
       "    etc: {repository: mian, sources: [{paths: [etc]}], schedule: 61 * * * *}\n"
       "    db: {sources: [{command: [pg_dumpall]}, {postgres: {}}], schedule: {full: never, "
       "incremental: never}}\n"
       "  verification: \"@dayly\"\n"
       "  dril: \"@monthly\"\n"
       "  scratch: tmp\n",
       {"4:22: `location` must be an absolute path, `sftp:` or `s3:`",
        "4:47: unknown key `pasword` (did you mean `password`?)",
        "5:23: `mirror:NAME` is for recoverctl alone: here, `mirror: {primary: …, secondary: …}` "
        "in "
        "place of `location`",
        "6:3: the type `db` needs a `repository`: there are several",
        "7:23: there is no repository `mian` (did you mean `main`?)",
        "7:48: expected an absolute path, found `etc`",
        "7:66: the minute `61` must be `*`, or 0 to 59 as in `5`, `1,3`, `1-5` or `*/2`",
        "8:20: a `command` needs a `name` for its file, such as `all.sql`, without `/`",
        "8:56: `dsn` is missing", "8:62: a type that never runs: leave it out",
        "9:17: `@dayly` is none of `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`",
        "10:3: unknown key `dril` (did you mean `drill`?)",
        "11:12: expected an absolute path, found `tmp`"}},
      {"several at once",
       "auto_recovery:\n  enabled: yes\n  detection: {monitoring_intervall: 1s, sensitivity: "
       "hihg}\n"
       "  recovery: {mode: auto, max_attempts: 0}\n",
       {"3:12: expected true or false, found `yes`",
        "4:15: unknown key `monitoring_intervall` (did you mean `monitoring_interval`?)",
        "4:54: expected one of `low`, `medium`, `high`, found `hihg` (did you mean `high`?)",
        "5:20: expected one of `shadow`, `semi-automatic`, `automatic-limited`, `automatic`, found "
        "`auto`",
        "5:40: `0` is out of range: from 1 to 10000"}},
      {"durations",
       "checkpoint: {after: 5 min, keep: many}\nmonitoring: {interval: 10}\n",
       {"2:21: expected a duration such as `250ms`, `5s` or `1h30m`, found `5 min`",
        "2:34: expected a whole number, found `many`",
        "3:24: expected a duration such as `250ms`, `5s` or `1h30m`, found `10`"}},
      {"sizes and percentages",
       "services:\n  a:\n    run:\n      command: [a]\n      limits: {memory: 1kb, cpu: -5%}\n"
       "monitoring: {thresholds: {disk_usage: 190%}, levels: {warning: 90%}}\n",
       {"6:24: expected a size such as `512KB`, `10MiB` or `2GiB`, found `1kb`",
        "6:34: expected a percentage such as `85%`, found `-5%`",
        "7:39: `190%` is out of range: from 0% to 100%",
        "7:54: `warning` < `critical` < `emergency` must hold"}},
      {"wrong kinds",
       "services: [a]\nmonitoring: 5\nstate_dir: relative\napi: {socket: [1]}\n",
       {"2:11: expected a map of services by name, found a list", "3:13: expected a map, found `5`",
        "4:12: expected an absolute path, found `relative`", "5:15: expected text, found a list"}},
      {"duplicate keys",
       "state_dir: /a\nservices:\n  a: {systemd: a}\n  a: {systemd: b}\nstate_dir: /b\n",
       {"5:3: `a` is given twice, first at line 4",
        "6:1: `state_dir` is given twice, first at line 2"}},
      {"stderr",
       "services:\n  a: {run: {command: [a], output: {stderr: joined}}}\n"
       "  b: {run: {command: [b], output: {path: /x, stderr: /x}}}\n",
       {"3:44: expected `separate` or an absolute path, found `joined`",
        "4:46: `stderr` names the file of stdout; without it both go there"}},
      {"exactly one",
       "services:\n  a: {priority: low}\n  b: {systemd: b, container: b}\n",
       {"3:6: exactly one of `run`, `systemd`, `container`, `observe` is needed, found none",
        "4:6: exactly one of `run`, `systemd`, `container`, `observe` is needed, found `systemd` "
        "and `container`"}},
      {"names and programs",
       "services:\n  a@1: {systemd: ''}\n  b: {observe: {}}\n  c: {run: {command: ['']}}\n",
       {"3:3: `a@1` cannot name a service: up to 64 letters, digits, `-`, `_` and `.`",
        "3:18: the name must not be empty",
        "4:16: `observe` needs `pid_file`, `match`, `name` or `exe`",
        "5:22: the program must not be empty"}},
      {"dangling names",
       "services:\n  web: {systemd: w, depends_on: [dbb], playbooks: [service_recovery_01]}\n"
       "  db: {systemd: d}\n",
       {"3:34: no service is called `dbb` (did you mean `db`?)",
        "3:52: no playbook is called `service_recovery_01` (did you mean "
        "`service_recovery_001`?)"}},
      {"a cycle",
       "services:\n  a: {systemd: a, depends_on: [b]}\n  b: {systemd: b, depends_on: [c]}\n"
       "  c: {systemd: c, depends_on: [b]}\n  d: {systemd: d, depends_on: [d]}\n",
       {"5:32: services depend on each other: b → c → b",
        "6:32: services depend on each other: d → d"}},
      {"probes",
       "services:\n  a:\n    systemd: a\n    probes:\n      - mysql: {host: h}\n      - interval: "
       "1s\n"
       "      - tcp: {host: h}\n      - http: {url: u, status: [99], body_matches: '('}\n",
       {"6:16: `user` is missing",
        "7:9: exactly one of `http`, `tcp`, `exec`, `process`, `file`, `postgres`, `redis`, "
        "`resource`, `mysql`, `dns`, `tls_expiry`, `heartbeat`, `log` is needed, found none",
        "8:14: `port` is missing", "9:33: `99` is out of range: from 100 to 599",
        "9:52: not a regular expression: missing ): ("}},
      {"secrets where none may be",
       "state_dir: /a${env:HOME}\nservices:\n  a:\n    run: {command: [a, '-p=${file:/x}'], "
       "environment: {A: '${env:NONE}', B: '${env:', C: '${evn:X}', D: '${file:/none}'}}\n",
       {"2:14: a secret cannot be used here", "5:28: a secret cannot be used here",
        "5:60: the environment variable `NONE` is not set", "5:78: `${` has no `}`",
        "5:91: a secret comes from `${env:NAME}` or `${file:PATH}`, not from `evn:`; write `$${` "
        "for a plain `${`",
        "5:106: cannot read the secret `/none`: No such file or directory"}},
      {"scale",
       "services:\n  a: {run: {command: [a], instances: 5, scale: {min: 1, max: 4}}}\n",
       {"3:27: `instances` must lie within `scale`"}},
      {"patterns",
       "patterns:\n  - {id: a, pattern: '['}\n  - {id: a, pattern: b}\n"
       "  - {pattern: b, recovery: [{type: restrat}]}\n",
       {"3:22: not a regular expression: missing ]: [",
        "4:5: the pattern `a` is already defined at /c.yaml:3:5", "5:5: `id` is missing",
        "5:36: no action or playbook is called `restrat` (did you mean `restart`?)"}},
      {"what patterns do",
       "services: {web: {systemd: w}}\npatterns:\n"
       "  - {id: a, pattern: b, recovery: [{type: exec}, {type: isolate}, {type: restart, "
       "target: wbe}]}\n",
       {"4:43: the action `exec` needs arguments: write a playbook and name its id",
        "4:57: the action `isolate` is not supported yet",
        "4:91: no service is called `wbe` (did you mean `web`?)"}},
      {"groups and standbys",
       "services: {web: {systemd: w, group: front, standby: web}, db: {systemd: d, standby: bd}}\n"
       "auto_recovery: {safety: {groups: {frnt: {blast_radius: 50%}, front: {x: 1}}}}\n",
       {"2:53: a service cannot be its own standby",
        "2:85: no service is called `bd` (did you mean `db`?)",
        "3:35: no service is in the group `frnt` (did you mean `front`?)",
        "3:70: unknown key `x`"}},
      {"short forms",
       "recovery_actions:\n  timeouts: [restart]\n  timeout: [exec, isolate, restrat]\n",
       {"3:3: expected one of `connection`, `timeout`, `authentication`, `permission`, "
        "`resource_exhaustion`, `data_integrity`, `service_failure`, `system_unavailable`, "
        "`data_inconsistency`, `build_failure`, `dependency_failure`, `minor_corruption`, found "
        "`timeouts` (did you mean `timeout`?)",
        "4:13: `command` is missing", "4:19: the action `isolate` is not supported yet",
        "4:28: expected one of `start`, `stop`, `restart`, `reload`, `signal`, `exec`, `http`, "
        "`sql`, `kill_long_queries`, `redis`, `clean_files`, `rotate_logs`, `free_resources`, "
        "`adjust_limits`, `scale`, `failover`, `quarantine`, `checkpoint`, `restore_checkpoint`, "
        "`restore_backup`, `git_restore`, `sync`, "
        "`wait`, `approve`, `notify`, `freeze`, `thaw`, found `restrat` (did you mean "
        "`restart`?)"}},
      {"journal key",
       "journal: {key: short}\n",
       {"2:16: a key must be 32 bytes, or 64 hexadecimal digits"}},
      {"syntax", "services: {a: [1}\n", {"2:17: not valid YAML: illegal flow end"}},
      {"files",
       "include: [x.yaml]\nplaybooks: [y.yaml, none/*.yaml]\n",
       {"2:11: there is no file `x.yaml`", "3:13: there is no file `y.yaml`"}},
      {"another document",
       "---\nversion: 1\n",
       {"3:1: a configuration is one document, found another"}},
  };
  return kCases;
}

TEST(Mistakes, OfTheConfiguration) {
  for (const Case& each : config_cases()) {
    MemoryFiles files(Texts{{"/c.yaml", std::string("version: 1\n") + each.text}});
    expect(each, "/c.yaml", files);
  }
}

// Playbook files; the first line of each is "playbook: p".
const std::vector<Case>& playbook_cases() {
  static const std::vector<Case> kCases = {
      {"clean",
       "steps: [{action: restart, timeout: 5s}]\nvalidation: {success_criteria: [service_running "
       "== true]}\n",
       {}},
      {"no steps",
       "validation: {success_criteria: [service_running]}\n",
       {"1:1: `steps` is missing"}},
      {"no timeout",
       "steps:\n  - {action: restart}\n  - {action: wait}\n  - {action: notify}\n"
       "validation: {success_criteria: [service_running]}\n",
       {"3:5: the step `restart` needs a `timeout`"}},
      {"destructive",
       "steps:\n  - {name: K, action: signal, timeout: 1s}\n"
       "  - {action: exec, with: {command: [a]}, timeout: 1s, undo: start}\n"
       "  - {action: sql, with: {dsn: d, statement: s}, timeout: 1s, irreversible: true}\n"
       "validation: {success_criteria: [service_running]}\n",
       {"3:5: the step `K` is destructive (signal): it needs `undo` or `irreversible: true`"}},
      {"no validation in automatic mode",
       "steps: [{action: restart, timeout: 1s}]\n",
       {"1:1: the playbook `p` may run unattended for `a`: it needs `validation` with "
        "`success_criteria`"}},
      {"unbounded clean_files",
       "steps:\n  - {action: clean_files, timeout: 1s, irreversible: true, with: {roots: [/, "
       "/a/.., "
       "b], globs: ['*', ../x, /y]}}\nvalidation: {success_criteria: [service_running]}\n",
       {"3:66: clean_files is unbounded: it needs `older_than`, `larger_than`, `free_target` or "
        "`max_files`",
        "3:75: clean_files must not have the root `/`",
        "3:78: clean_files must not have the root `/a/..`",
        "3:85: expected an absolute path, found `b`", "3:102: the pattern `../x` leaves its roots",
        "3:108: the pattern `/y` leaves its roots"}},
      {"a quarantine as the way back",
       "steps:\n  - {action: stop, timeout: 1s, undo: quarantine}\n"
       "  - {action: stop, timeout: 1s, undo: {action: quarantine}}\n"
       "validation: {success_criteria: [service_running]}\n",
       {"3:39: quarantine takes nothing back", "4:39: quarantine takes nothing back"}},
      {"sync of all, or by a way round",
       "steps:\n  - {action: sync, timeout: 1s, irreversible: true, with: {from: /a, to: "
       "/tmp/..}}\n"
       "  - {action: sync, timeout: 1s, irreversible: true, with: {from: //, to: /b}}\n"
       "  - {action: sync, timeout: 1s, irreversible: true, with: {from: /a/../b, to: /c}}\n"
       "  - {action: sync, timeout: 1s, irreversible: true, with: {from: /a/, to: /a/c}}\n"
       "  - {action: sync, timeout: 1s, irreversible: true, with: {from: /a, to: /b/}}\n"
       "  - {action: sync, timeout: 1s, irreversible: true, with: {from: /a, to: /}}\n"
       "validation: {success_criteria: [service_running]}\n",
       {"3:59: `/tmp/..` is no plain path", "4:59: `//` is no plain path",
        "5:59: `/a/../b` is no plain path", "6:59: `from` and `to` are one within the other",
        "8:59: `/` is not synced"}},
      {"expressions",
       "prerequisites: [{check: \"disk_available >\"}, {maintenance: maybe}, {check: a, "
       "maintenance: "
       "true}]\nsteps: [{action: restart, timeout: 1s, when: eror_rate > 1}]\n"
       "validation: {within: 1s, stable_for: 2s, success_criteria: [service_running == true and "
       "helth_check_passing]}\n",
       {"1:1: the playbook `p` can never be validated: `stable_for` (2s) is longer than `within` "
        "(1s)",
        "2:42: expected a number, true, false, a word or a quoted text",
        "2:60: expected true or false, found `maybe`",
        "2:68: exactly one of `maintenance`, `check` is needed, found `maintenance` and `check`",
        "2:76: unknown fact `a`", "3:46: unknown fact `eror_rate` (did you mean `error_rate`?)",
        "4:89: unknown fact `helth_check_passing` (did you mean `health_check_passing`?)"}},
      {"actions",
       "steps:\n  - {action: restrt, timeout: 1s}\n  - {action: isolate, timeout: 1s}\n"
       "  - {action: start, timeout: 1s, with: {x: 1}, target: b}\n  - {action: scale, timeout: "
       "1s, "
       "with: {by: 0}}\ntriggers: [{}, {symptom: sick}, {pattern: none}]\n"
       "validation: {success_criteria: [service_running]}\n",
       {"3:14: expected one of `start`, `stop`, `restart`, `reload`, `signal`, `exec`, `http`, "
        "`sql`, `kill_long_queries`, `redis`, `clean_files`, `rotate_logs`, `free_resources`, "
        "`adjust_limits`, `scale`, `failover`, `quarantine`, `checkpoint`, `restore_checkpoint`, "
        "`restore_backup`, `git_restore`, `sync`, "
        "`wait`, `approve`, `notify`, `freeze`, `thaw`, found `restrt` (did you mean `restart`?)",
        "4:14: the action `isolate` is not supported yet", "5:41: unknown key `x`",
        "5:56: no service is called `b`", "6:40: `by` must not be 0",
        "7:12: a trigger must name something",
        "7:26: expected one of `process_crash`, `crash_loop`, `start_failed`, "
        "`service_unresponsive`, `connection_refused`, `probe_failed`, `authentication_failed`, "
        "`permission_denied`, `slow_response`, `high_error_rate`, `disk_full`, `memory_pressure`, "
        "`cpu_pressure`, `files_exhausted`, `queue_backlog`, `lock_contention`, "
        "`replication_lag`, `watchdog_timeout`, `data_corruption`, `pattern_matched`, `flapping`, "
        "`recovery_requested`, "
        "found `sick`",
        "7:43: no pattern is called `none`"}},
      {"the same id twice",
       "steps: [{action: restart, timeout: 1s}]\nvalidation: {success_criteria: "
       "[service_running]}\n"
       "---\nplaybook: p\nsteps: [{action: restart, timeout: 1s}]\n",
       {"5:1: the playbook `p` is already defined at /p.yaml:1:1"}},
  };
  return kCases;
}

TEST(Mistakes, OfPlaybooks) {
  for (const Case& each : playbook_cases()) {
    MemoryFiles files(Texts{{"/c.yaml",
                             "version: 1\nplaybooks: [/p.yaml]\nauto_recovery: {recovery: {mode: "
                             "automatic-limited}}\nservices: {a: {systemd: a}}\n"},
                            {"/p.yaml", std::string("playbook: p\n") + each.text}});
    const auto loaded = load("/c.yaml", files);
    std::vector<std::string> found;
    if (!loaded) {
      for (const Mistake& mistake : loaded.error()) found.push_back(to_string(mistake));
    }
    std::vector<std::string> wanted;
    for (const char* line : each.expected) wanted.push_back(std::string("/p.yaml:") + line);
    EXPECT_EQ(found, wanted) << each.name;
  }
}

TEST(Mistakes, AcrossFilesNameBothPlaces) {
  MemoryFiles files(
      Texts{{"/c.yaml",
             "version: 1\ninclude: [/i.yaml]\nstate_dir: /a\nservices: {a: "
             "{systemd: a}}\n"},
            {"/i.yaml", "state_dir: /b\nservices: {a: {systemd: b}}\ninclude: [/j.yaml]\n"}});
  const auto loaded = load("/c.yaml", files);
  ASSERT_FALSE(loaded);
  ASSERT_EQ(loaded.error().size(), 3U);
  EXPECT_EQ(to_string(loaded.error()[0]), "/i.yaml:1:1: `state_dir` is already set at /c.yaml:3:1");
  EXPECT_EQ(to_string(loaded.error()[1]),
            "/i.yaml:2:12: the service `a` is already defined at /c.yaml:4:12");
  EXPECT_EQ(to_string(loaded.error()[2]), "/i.yaml:3:1: an included file cannot include others");
}

TEST(Mistakes, OfTheFileItself) {
  MemoryFiles none;
  EXPECT_EQ(shorts("/c.yaml", none),
            std::vector<std::string>{"1:1: cannot read `/c.yaml`: No such file or directory"});
  MemoryFiles empty(Texts{{"/c.yaml", ""}});
  EXPECT_EQ(shorts("/c.yaml", empty), std::vector<std::string>{"1:1: the file is empty"});
  MemoryFiles old(Texts{{"/c.yaml", "version: 2\n"}});
  EXPECT_EQ(shorts("/c.yaml", old),
            std::vector<std::string>{"1:10: this recoverd reads version 1, not 2"});
  MemoryFiles versionless(Texts{{"/c.yaml", "state_dir: /a\n"}});
  EXPECT_EQ(shorts("/c.yaml", versionless),
            std::vector<std::string>{"1:1: `version` is missing: write `version: 1`"});
}

TEST(Mistakes, ALaughingFileIsRefusedInsteadOfGrowing) {
  std::string text = "version: 1\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before;
    for (int j = 0; j < 9; ++j) text += "," + before;
    text += "]\n";
  }
  MemoryFiles files(Texts{{"/c.yaml", text}});
  const auto found = shorts("/c.yaml", files);
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0], "1:1: the file holds more than 200000 values");
}

TEST(NearMiss, CountsSwapsAsOne) {
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("hihg", "high"), 1U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("same", "same"), 0U);
}

}  // namespace
}  // namespace recover::config
