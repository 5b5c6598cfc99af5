#include "apps/recoverd/daemon.h"

#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "adapters/process/account.h"
#include "adapters/process/adoption.h"
#include "adapters/process/proc_file.h"
#include "api/server.h"
#include "api/xmlrpc/server.h"
#include "apps/recoverd/api_backend.h"
#include "apps/recoverd/configuration.h"
#include "apps/recoverd/configuration_history.h"
#include "apps/recoverd/edges.h"
#include "apps/recoverd/engine_clock.h"
#include "apps/recoverd/journal_file.h"
#include "apps/recoverd/kept_trees.h"
#include "apps/recoverd/log.h"
#include "apps/recoverd/memory.h"
#include "apps/recoverd/occupant.h"
#include "apps/recoverd/program_check.h"
#include "base/redact.h"
#include "config/diff.h"
#include "config/schema.h"
#include "runtime/loop.h"
#include "runtime/replay.h"

namespace recover::apps {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr Duration kStopTimeout = 30s;     // For all services, when recoverd ends.
constexpr Duration kCatchUpInterval = 1s;  // While the journal cannot be written.
constexpr Duration kPruneInterval = 600s;
constexpr Duration kSettleAfter = 30ms;  // Longer than what follows from one event takes.
// At rest so long, what a start or a recovery needed is not needed any more.
constexpr Duration kTrimAfter = 3s;
constexpr Duration kTrimAgain = 60s;  // From one time to the next, at least.
constexpr Duration kAnswerTime = 100ms;

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos || slash == 0 ? "/" : path.substr(0, slash);
}

// As `mkdir -p`. Error: why not, with the path.
Result<void, std::string> make_folders(const std::string& path, mode_t mode) {
  for (std::size_t at = 0; at != std::string::npos;) {
    at = path.find('/', at + 1);
    const std::string folder = path.substr(0, at);
    if (::mkdir(folder.c_str(), mode) != 0 && errno != EEXIST) {
      return Unexpected(folder + ": " + std::generic_category().message(errno));
    }
  }
  return {};
}

class Daemon {
 public:
  explicit Daemon(RunOptions options) : options_(std::move(options)) {}

  int run();

 private:
  // The engine's, once it has begun; before, the one that was just read.
  const core::Policy& policy() const { return begun_ ? loop_->engine().policy() : *fresh_; }
  bool load();
  void look_for_processes();
  bool open_state();
  core::Engine restore_engine();
  bool make_parts();
  bool open_api();
  void begin();
  void listen_to_signals();
  void wake();
  void turn();
  void arm_timer(Instant at);
  void settle_soon();
  void tend_journal();
  void journal_degraded(bool degraded);
  Result<config::Loaded, api::Mistakes> read_anew() const;
  Result<api::Reloaded, api::Mistakes> reload();
  Result<api::Reloaded, api::Mistakes> preview() const;
  config::Diff diff_to(const config::Loaded& next) const;
  api::Reloaded apply(config::Loaded next);
  void stop();
  void end_soon();
  void hand_over();
  Result<void, std::string> reexec();
  void greet_manager();
  std::string policy_body() const;
  void keep_version();

  RunOptions options_;
  config::Loaded configuration_;  // Its policy is moved on: to fresh_, or into the loop.
  std::shared_ptr<const core::Policy> fresh_;  // As it was read; null once the engine has begun.
  EngineClock clock_;
  asio::io_context io_{1};
  asio::signal_set signals_{io_, SIGTERM, SIGINT, SIGHUP};
  asio::steady_timer timer_{io_};
  asio::steady_timer journal_timer_{io_};
  asio::steady_timer settle_timer_{io_};
  asio::steady_timer manager_timer_{io_};
  adapters::process::KeeperLink keeper_;
  std::unique_ptr<adapters::process::Adoption> adoption_;  // Null once the supervisor has it.
  JournalFile journal_;
  bool restored_ = false;
  std::optional<std::uint64_t> since_snapshot_;  // Of a past in which nothing is to be changed.
  bool begun_ = false;
  std::unique_ptr<Edges> edges_;
  std::unique_ptr<runtime::Loop> loop_;
  std::unique_ptr<api::Server> server_;
  std::unique_ptr<api::xmlrpc::Server> xmlrpc_;  // None: it is not configured.
  Instant prune_at_ = Instant::min();
  Instant trim_at_ = kNever;
  Instant trim_again_at_ = Instant::min();
  std::uint64_t recorded_ = 0;  // When trim_at_ was set.
  bool turn_posted_ = false;
  bool settle_armed_ = false;
  bool handing_over_ = false;  // To the program that is executed anew: the services run on.
  bool stopping_ = false;
};

// ---- coming up

int Daemon::run() {
  listen_to_signals();
  keeper_ = adapters::process::KeeperLink::connect();
  adoption_ = adapters::process::Adoption::begin(keeper_);
  if (!load()) return 2;
  look_for_processes();
  // A journal that is somebody else's, encrypted or of a later version: trying again cannot help,
  // and the keeper must not (it ends with an engine that returns 2).
  if (!open_state()) return 2;
  if (!make_parts()) return 1;
  // A socket that another recoverd answers on, or a path that cannot be one, stays so.
  if (!open_api()) return 2;
  begin();
  io_.run();
  xmlrpc_.reset();
  server_.reset();
  return 0;
}

// If the configuration says they are elsewhere, what was begun is forgotten.
void Daemon::look_for_processes() {
  using adapters::process::Adoption;
  const std::string& state_dir = policy().state_dir;
  if (adoption_ && adoption_->is_of(state_dir)) return;
  adoption_ = std::make_unique<Adoption>(state_dir, keeper_, adoption_.get());
}

bool Daemon::load() {
  const auto trees = take_trees(keeper_);
  auto configuration = load_configuration(options_.config, options_.state_dir, trees.get());
  if (!configuration) {
    for (const std::string& mistake : configuration.error()) log(Level::Error, mistake);
    return false;
  }
  configuration_ = std::move(*configuration);
  fresh_ = std::make_shared<const core::Policy>(std::exchange(configuration_.policy, {}));
  keep_trees(keeper_, *trees);
  return true;
}

bool Daemon::open_state() {
  for (const auto& [folder, mode] : {std::pair{policy().state_dir, mode_t{0700}},
                                     std::pair{folder_of(policy().api.socket), mode_t{0755}}}) {
    const auto made = make_folders(folder, mode);
    if (!made) {
      log(Level::Error, "cannot make the folder " + made.error());
      return false;
    }
  }
  const pid_t keeper = ::getppid();
  if (const auto other = other_occupant(policy().state_dir, keeper)) {
    log(Level::Error, "another recoverd (pid " + std::to_string(*other) + ") works in " +
                          policy().state_dir +
                          ": stop it first, or give this one a --state-dir of its own");
    return false;
  }
  const auto opened = journal_.open(policy().state_dir + "/journal.db", policy().journal_key,
                                    [this](bool degraded) { journal_degraded(degraded); });
  if (!opened) {
    log(Level::Error, "cannot open the journal: " + opened.error());
    return false;
  }
  for (const std::string& warning : *opened) log(Level::Warning, warning);
  note_occupant(policy().state_dir, keeper);
  return true;
}

core::Engine Daemon::restore_engine() {
  using Shared = std::shared_ptr<const core::Policy>;
  auto past = runtime::restore(
      journal_.journal(), [this](const runtime::PolicyText& text) -> Result<Shared, std::string> {
        // Nobody changed the files: what was read from them just now is what they say.
        if (text.sources == configuration_.sources) return fresh_;
        auto remembered = load_remembered(text);
        if (!remembered) return Unexpected(std::move(remembered).error());
        remembered->state_dir = policy().state_dir;  // Where we found it.
        return std::make_shared<const core::Policy>(std::move(*remembered));
      });
  if (!past) {
    log(Level::Error, "the journal's past cannot be used, starting anew: " + past.error());
  }
  std::optional<runtime::Restored> restored;
  if (past) restored = std::move(*past);
  restored_ = restored.has_value();
  clock_.set_offset(runtime::clock_offset_ns(restored, adapters::process::boot_id(),
                                             EngineClock::monotonic_ns()));
  if (!restored_) return core::Engine(fresh_, clock_.now());
  for (const std::string& warning : restored->warnings) log(Level::Warning, warning);
  const bool same = restored->engine.shared_policy() == fresh_ && restored->warnings.empty() &&
                    restored->text.boot_id == adapters::process::boot_id() && journal_.is_sealed();
  if (same) since_snapshot_ = restored->since_snapshot;
  return std::move(restored->engine);
}

bool Daemon::make_parts() {
  core::Engine engine = restore_engine();
  auto edges =
      Edges::open(io_, clock_, keeper_, policy().state_dir,
                  [this](core::Event event) { loop_->post(std::move(event)); },
                  {.owner = [this] { return loop_->engine().shared_policy(); },
                   .recorded = [this] { return loop_->recorded(); },
                   .adoption = adoption_.get(),
                   .backups = {.policy = configuration_.backup,
                               .program = options_.program,
                               .redact = [this](std::string text) {
                                 return base::redacted(std::move(text), configuration_.secrets);
                               }}});
  if (!edges) {
    log(Level::Error, "cannot open the checkpoints: " + edges.error());
    return false;
  }
  edges_ = std::move(*edges);
  loop_ = std::make_unique<runtime::Loop>(
      std::move(engine),
      runtime::Edges{.journal = &journal_.journal(),
                     .effectors = edges_->effectors(),
                     .sources = edges_->sources(),
                     .now = [this] { return clock_.stamp(); },
                     .wake = [this] { wake(); },
                     .redact =
                         [this](std::string text) {
                           return base::redacted(std::move(text), configuration_.secrets);
                         },
                     .on_error_text =
                         [this](core::ServiceIndex service, std::string_view text) {
                           edges_->patterns().read(service, text);
                         },
                     .publish =
                         [this](const core::Notice& notice, runtime::Stamp stamp) {
                           log(notice, stamp, loop_->engine().policy());
                         }});
  return true;
}

bool Daemon::open_api() {
  ApiParts parts{
      .loop = *loop_,
      .edges = *edges_,
      .clock = clock_,
      .journal = journal_,
      .io = io_,
      .reload = [this] { return reload(); },
      .preview = [this] { return preview(); },
      .reexec = [this] { return reexec(); },
      .shutdown = [this] { end_soon(); },
      .configuration = [this] { return configuration_.sources.front(); },
      .configuration_history = [this] { return history_name(configuration_.environment); },
      .redact =
          [this](std::string text) {
            return base::redacted(std::move(text), configuration_.secrets);
          },
      .state_dir = options_.state_dir,
      .pid = keeper_.connected() ? ::getppid() : ::getpid()};
  const std::string& group = policy().api.operator_group;
  const auto operators = group.empty() ? std::nullopt : adapters::process::group_named(group);
  if (!group.empty() && !operators) {
    log(Level::Error, "api.operator_group: no group is called " + group);
    return false;
  }
  auto server = api::Server::listen(
      io_, {.socket = policy().api.socket, .operator_group = operators}, make_backend(parts));
  if (!server) {
    log(Level::Error, server.error());
    return false;
  }
  server_ = std::move(*server);
  const core::XmlRpcPolicy& asked = policy().api.xmlrpc;
  if (!asked.enabled()) return true;
  auto xmlrpc = api::xmlrpc::Server::listen(io_, asked, make_backend(parts));
  if (!xmlrpc) {
    log(Level::Error, xmlrpc.error());
    return false;
  }
  xmlrpc_ = std::move(*xmlrpc);
  return true;
}

// What was running is adopted by the sources' first look; only then the engine hears that it
// started, so that it knows what is still missing.
void Daemon::begin() {
  const auto& known = loop_->engine().shared_policy();
  if (restored_ && known != fresh_ && !(*known == policy())) {
    loop_->replace_policy(core::Policy(policy()), policy_body());
  } else if (since_snapshot_) {
    loop_->go_on(policy_body(), *since_snapshot_);
  } else {
    loop_->begin(policy_body());
  }
  begun_ = true;
  fresh_.reset();
  adoption_.reset();
  adapters::process::Adoption::remember(policy().state_dir, keeper_);
  trim_at_ = clock_.now() + kTrimAfter;
  const bool first = !restored_;
  asio::post(io_, [this, first] { loop_->post(core::EngineStarted{.first = first}); });
  tend_journal();
  // What can wait until all are supervised.
  const auto timer = std::make_shared<asio::steady_timer>(io_, kSettleAfter);
  timer->async_wait([this, timer](const boost::system::error_code&) {
    ::malloc_trim(0);  // What reading the configuration and the journal left.
    keep_version();
  });
  greet_manager();
  log(Level::Info, "recoverd is up: " + std::to_string(policy().services.size()) +
                       " services, mode " + std::string(core::to_string(policy().recovery.mode)) +
                       ", socket " + policy().api.socket);
}

std::string Daemon::policy_body() const {
  return runtime::encode(runtime::PolicyText{
      .sources = configuration_.sources,
      .boot_id = adapters::process::boot_id(),
      .offset_ns = clock_.now().time_since_epoch().count() - EngineClock::monotonic_ns()});
}

// Of the configuration, beside the checkpoints.
void Daemon::keep_version() {
  std::vector<std::string> paths;
  for (const auto& [path, text] : configuration_.sources) paths.push_back(path);
  asio::post(edges_->pool(), [store = &edges_->checkpoints(),
                              environment = configuration_.environment, paths = std::move(paths)] {
    const auto kept = keep_configuration(*store, paths, environment);
    if (!kept) log(Level::Warning, "no version of the configuration was kept: " + kept.error());
  });
}

// ---- the loop's turns

void Daemon::wake() {
  if (std::exchange(turn_posted_, true)) return;
  asio::post(io_, [this] {
    turn_posted_ = false;
    turn();
  });
}

void Daemon::turn() {
  if (stopping_) return;  // Services end because we want them to: nothing to heal.
  const Instant next = loop_->turn();
  if (std::exchange(recorded_, loop_->metrics().recorded) != loop_->metrics().recorded) {
    trim_at_ = std::max(clock_.now() + kTrimAfter, trim_again_at_);
  }
  arm_timer(next);
  settle_soon();
}

// The journal's stage is moved into its database when those who are down have been started.
void Daemon::settle_soon() {
  if (journal_.settled() || std::exchange(settle_armed_, true)) return;
  settle_timer_.expires_after(kSettleAfter);
  settle_timer_.async_wait([this](const boost::system::error_code& error) {
    settle_armed_ = false;
    if (!error) journal_.settle();
  });
}

void Daemon::arm_timer(Instant at) {
  if (at == kNever) {
    timer_.cancel();
    return;
  }
  timer_.expires_at(std::chrono::steady_clock::time_point(Duration{clock_.monotonic_ns_of(at)}));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) turn();
  });
}

void Daemon::journal_degraded(bool degraded) {
  log(degraded ? Level::Error : Level::Info,
      degraded ? "the journal cannot be written; only safe actions run: " + journal_.trouble()
               : "the journal is written again");
  asio::post(io_, [this, degraded] { loop_->post(core::JournalDegraded{.degraded = degraded}); });
}

void Daemon::tend_journal() {
  if (journal_.degraded()) journal_.catch_up();
  if (clock_.now() >= prune_at_) {
    prune_at_ = clock_.now() + kPruneInterval;
    const auto pruned = journal_.prune();
    if (!pruned) log(Level::Warning, "the journal was not pruned: " + pruned.error());
  }
  if (clock_.now() >= trim_at_) {
    trim_at_ = kNever;
    trim_again_at_ = clock_.now() + kTrimAgain;
    if (!journal_.degraded()) loop_->rest();
    recorded_ = loop_->metrics().recorded;
    give_back_memory();
  }
  journal_timer_.expires_after(kCatchUpInterval);
  journal_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error && !stopping_) tend_journal();
  });
}

// ---- signals, reload, the end

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

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ", ") + word;
  return text.empty() ? "none" : text;
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

// Nothing here allocates in parallel for speed: one heap, and what it does not need given back.
void keep_heap_small() {
  constexpr int kKeptBytes = 256 << 10;
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_TRIM_THRESHOLD, kKeptBytes);
  ::mallopt(M_TOP_PAD, kKeptBytes / 4);
}

}  // namespace

int run_engine(const RunOptions& options) {
  keep_heap_small();
  config::forgo_schema();
  return Daemon(options).run();
}

}  // namespace recover::apps
