// What changes the engine process: signals, another configuration, another program, the end.
#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "apps/recoverd/configuration.h"
#include "apps/recoverd/engine_daemon.h"
#include "apps/recoverd/kept_trees.h"
#include "apps/recoverd/log.h"
#include "apps/recoverd/program_check.h"

namespace recover::apps {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr Duration kStopTimeout = 30s;  // For all services, when recoverd ends.
constexpr Duration kAnswerTime = 100ms;

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text.empty() ? "none" : text;
}

}  // namespace

void Daemon::listen_to_signals() {
  signals_.async_wait([this](const boost::system::error_code& error, int signal) {
    if (error) return;
    if (signal != SIGHUP) {
      stop();
    } else if (const auto reloaded = reload(); !reloaded) {
      log(Level::Error, "the configuration is not taken over; nothing changed");
    }
    listen_to_signals();
  });
}

// Ready, and alive twice as often as the service manager asks for. The pid is the keeper's: it was
// the keeper that was started.
void Daemon::greet_manager() {
  keeper_.announce("READY=1");
  const char* const text = std::getenv("WATCHDOG_USEC");
  const long long micros = text == nullptr ? 0 : std::strtoll(text, nullptr, 10);
  if (micros <= 0) return;
  keeper_.announce("WATCHDOG=1");
  manager_timer_.expires_after(std::chrono::microseconds(micros / 2));
  manager_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) greet_manager();
  });
}

// Services run on; the keeper executes the program that is on the disk now once we have ended.
// Only one that can read the configuration: the keeper that cannot start has nobody to fall back
// on.
Result<void, std::string> Daemon::reexec() {
  if (!keeper_.connected()) return Unexpected(std::string("no keeper runs this engine"));
  const auto checked = check_program(options_.program, options_.config);
  if (!checked) return Unexpected(checked.error());
  log(Level::Info, "executing " + options_.program + " anew; services run on");
  forget_trees(keeper_);
  keeper_.reexec();
  if (std::exchange(handing_over_, true)) return {};
  // After the answer to whoever asked has left. Until the last backup has ended we go on as ever.
  const auto timer = std::make_shared<asio::steady_timer>(io_, kAnswerTime);
  timer->async_wait([this, timer](const boost::system::error_code&) {
    if (stopping_) return;  // Told to end meanwhile, services and all.
    edges_->stop_backups([this] { hand_over(); });
  });
  return {};
}

// What has happened by now is journaled: who comes after us does not hear of it again.
void Daemon::hand_over() {
  if (std::exchange(stopping_, true)) return;
  loop_->turn();
  io_.stop();
}

// The files as they are now, if they can be taken over while we run.
Result<config::Loaded, api::Mistakes> Daemon::read_anew() const {
  auto next = load_configuration(options_.config, options_.state_dir);
  if (!next) {
    for (const std::string& mistake : next.error()) log(Level::Error, mistake);
    return Unexpected(std::move(next).error());
  }
  if (next->policy.state_dir != policy().state_dir || !(next->policy.api == policy().api) ||
      !(next->policy.journal_key == policy().journal_key)) {
    return Unexpected(std::vector{options_.config +
                                  ":1:1: state_dir, api.socket, api.operator_group, api.xmlrpc and "
                                  "journal.key need a restart of recoverd (`recoverctl daemon "
                                  "reexec`)"});
  }
  return std::move(*next);
}

Result<api::Reloaded, api::Mistakes> Daemon::reload() {
  auto next = read_anew();
  if (!next) return Unexpected(std::move(next).error());
  return apply(std::move(*next));
}

Result<api::Reloaded, api::Mistakes> Daemon::preview() const {
  const auto next = read_anew();
  if (!next) return Unexpected(next.error());
  const config::Diff diff = diff_to(*next);
  return api::Reloaded{.summary = {},
                       .added = diff.added,
                       .removed = diff.removed,
                       .restarted = diff.restarted,
                       .changed = diff.changed,
                       .sections = diff.sections};
}

config::Diff Daemon::diff_to(const config::Loaded& next) const {
  config::Diff diff = config::diff(policy(), next.policy);
  for (std::string& section : config::changed_backups(configuration_.backup, next.backup)) {
    diff.sections.push_back(std::move(section));
  }
  return diff;
}

// Unchanged services are not touched; those whose process is run in another way restart.
api::Reloaded Daemon::apply(config::Loaded next) {
  const config::Diff diff = diff_to(next);
  configuration_ = std::move(next);
  edges_->backups().replace(configuration_.backup);
  loop_->replace_policy(std::move(configuration_.policy), policy_body());
  configuration_.policy = {};
  keep_version();
  edges_->supervisor().stop_removed(kStopTimeout, [] {});
  for (const std::string& name : diff.restarted) {
    const core::ServiceIndex service = *policy().find_service(name);
    // What was stopped on purpose stays stopped.
    if (!loop_->engine().state().services.at(service.value).wanted) continue;
    loop_->post(core::OperatorService{.service = service,
                                      .request = core::ServiceRequest::Restart,
                                      .actor = "reload",
                                      .instances = 0});
  }
  const std::string summary =
      diff.empty() ? "nothing changed"
                   : "added: " + join(diff.added) + "; removed: " + join(diff.removed) +
                         "; restarted: " + join(diff.restarted) +
                         "; changed: " + join(diff.changed) + "; sections: " + join(diff.sections);
  log(Level::Info, "configuration reloaded, " + summary);
  return {.summary = summary,
          .added = diff.added,
          .removed = diff.removed,
          .restarted = diff.restarted,
          .changed = diff.changed,
          .sections = diff.sections};
}

void Daemon::stop() {
  if (std::exchange(stopping_, true)) {
    io_.stop();  // Asked twice: at once; the services run on.
    return;
  }
  log(Level::Info, "stopping all services");
  keeper_.announce("STOPPING=1");
  if (edges_->is_restoring()) {
    // What it replaced is put back first; the service manager must not cut that off.
    using Restores = adapters::backup::RestoreEffector;
    const auto within = std::chrono::duration_cast<std::chrono::microseconds>(Restores::kGrace);
    keeper_.announce("EXTEND_TIMEOUT_USEC=" + std::to_string(within.count()));
  }
  // A backup that is under way may need them: it ends first.
  edges_->stop_backups([this] {
    edges_->supervisor().stop_all(kStopTimeout, [this] {
      log(Level::Info, "all services have stopped");
      io_.stop();
    });
  });
}

// After the answer to whoever asked has left.
void Daemon::end_soon() {
  const auto timer = std::make_shared<asio::steady_timer>(io_, kAnswerTime);
  timer->async_wait([this, timer](const boost::system::error_code&) {
    if (!stopping_) stop();
  });
}

}  // namespace recover::apps
