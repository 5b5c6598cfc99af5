#include "apps/recoverd/daemon.h"

#include <boost/asio/post.hpp>
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "adapters/process/account.h"
#include "adapters/process/proc_file.h"
#include "adapters/process/spawn_slots.h"
#include "apps/recoverd/api_backend.h"
#include "apps/recoverd/configuration.h"
#include "apps/recoverd/configuration_history.h"
#include "apps/recoverd/engine_daemon.h"
#include "apps/recoverd/kept_trees.h"
#include "apps/recoverd/log.h"
#include "apps/recoverd/occupant.h"
#include "base/redact.h"
#include "config/schema.h"
#include "runtime/loop.h"
#include "runtime/replay.h"

namespace recover::apps {
namespace {

namespace asio = boost::asio;

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

// Nothing here allocates in parallel for speed: one heap, and what it does not need given back.
void keep_heap_small() {
  constexpr int kKeptBytes = 256 << 10;
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_TRIM_THRESHOLD, kKeptBytes);
  ::mallopt(M_TOP_PAD, kKeptBytes / 4);
}

}  // namespace

int Daemon::run() {
  adapters::process::reserve_spawn_slots();  // While low descriptors are left.
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
                    !restored->is_older && restored->text.boot_id == adapters::process::boot_id() &&
                    journal_.is_sealed();
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
  asio::post(io_, [this, first] {
    // Killed between the first write after a full disk and its being told.
    if (loop_->engine().state().journal_degraded && !journal_.degraded()) {
      loop_->post(core::JournalDegraded{.degraded = false});
    }
    loop_->post(core::EngineStarted{.first = first});
  });
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

int run_engine(const RunOptions& options) {
  keep_heap_small();
  config::forgo_schema();
  return Daemon(options).run();
}

}  // namespace recover::apps
