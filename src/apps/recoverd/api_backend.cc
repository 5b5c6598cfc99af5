#include "apps/recoverd/api_backend.h"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <chrono>

#include "apps/recoverd/configuration.h"
#include "apps/recoverd/disk_files.h"
#include "config/load.h"

namespace recover::apps {
namespace {

namespace asio = boost::asio;

std::vector<api::Look> looks(const adapters::probe::Prober& prober, core::ServiceIndex service) {
  std::vector<api::Look> found;
  for (const adapters::probe::Look& look : prober.latest(service)) {
    const auto checked =
        std::chrono::duration_cast<std::chrono::nanoseconds>(look.checked_at.time_since_epoch());
    found.push_back({.state = look.state,
                     .latency = look.latency,
                     .checked_wall_ns = checked.count(),
                     .started_at = look.started_at,
                     .detail = look.detail});
  }
  return found;
}

std::vector<std::string> tail(const adapters::process::Supervisor& supervisor,
                              core::ServiceIndex service, std::size_t lines) {
  std::vector<std::string> all;
  const std::size_t instances = supervisor.instances(service).size();
  for (std::uint32_t instance = 0; instance < instances; ++instance) {
    const auto own = supervisor.tail(service, instance);
    all.insert(all.end(), own.begin(), own.end());
  }
  if (instances > 1) std::ranges::stable_sort(all);  // Lines begin with their time.
  if (all.size() > lines) all.erase(all.begin(), all.end() - static_cast<std::ptrdiff_t>(lines));
  return all;
}

std::string_view level_name(std::uint8_t level) {
  static constexpr std::string_view kNames[] = {"normal", "warning", "critical", "emergency"};
  return kNames[std::min<std::size_t>(level, 3)];
}

std::vector<api::ResourceReading> readings(const adapters::resource::ResourceMonitor& monitor) {
  std::vector<api::ResourceReading> found;
  for (const adapters::resource::Gauge& gauge : monitor.snapshot()) {
    if (!gauge.known) continue;
    found.push_back(
        {.what = gauge.what, .ratio = gauge.ratio, .level = std::string(level_name(gauge.level))});
  }
  return found;
}

// Verifies through a reader of its own, on the pool: it may take a while.
void verify(const ApiParts& parts, std::function<void(api::Verified)> done) {
  journal::OpenOptions options = parts.journal.options();
  options.read_only = true;
  asio::post(parts.edges.pool(), [options = std::move(options), &io = parts.io,
                                  done = std::move(done)]() mutable {
    auto reader = journal::SqliteJournal::open(options);
    api::Verified verified =
        reader ? (*reader)->verify() : api::Verified(Unexpected(std::move(reader).error()));
    asio::post(io, [verified = std::move(verified), done = std::move(done)] { done(verified); });
  });
}

// Files as on the disk, but one with another text: to try it before it is written.
class EditedFiles final : public config::Files {
 public:
  EditedFiles(std::string path, std::string text)
      : path_(std::move(path)), text_(std::move(text)) {}
  Result<std::string, std::string> read(const std::string& path) override {
    if (path == path_) return text_;
    return disk_.read(path);
  }
  std::vector<std::string> glob(const std::string& pattern, const std::string& base_dir) override {
    return disk_.glob(pattern, base_dir);
  }
  std::optional<std::string> environment(const std::string& name) override {
    return disk_.environment(name);
  }

 private:
  std::string path_;
  std::string text_;
  DiskFiles disk_;
};

Result<api::Reloaded, api::Mistakes> replace(const ApiParts& parts, std::string_view yaml) {
  const auto [path, loaded_text] = parts.configuration();
  DiskFiles disk;
  const auto on_disk = disk.read(path);
  if (on_disk && *on_disk != loaded_text && *on_disk != yaml) {
    return Unexpected(
        api::Mistakes{path +
                      ":1:1: the file was edited since it was loaded, and that would be lost: "
                      "`recoverctl config reload` first"});
  }
  EditedFiles files(path, std::string(yaml));
  const auto loaded = config::load(path, files);
  if (!loaded) {
    api::Mistakes mistakes;
    for (const config::Mistake& mistake : loaded.error()) {
      mistakes.push_back(config::to_string(mistake));
    }
    return Unexpected(std::move(mistakes));
  }
  const auto written = write_configuration(path, yaml);
  if (!written) return Unexpected(api::Mistakes{written.error()});
  return parts.reload();
}

}  // namespace

api::Backend make_backend(const ApiParts& parts) {
  api::Backend backend;
  backend.engine = [loop = &parts.loop]() -> const core::Engine& { return loop->engine(); };
  backend.journal = &parts.journal.journal();
  backend.post = [loop = &parts.loop](core::Event event) { loop->post(std::move(event)); };
  backend.now = [clock = &parts.clock] { return clock->now(); };
  backend.wall_ns = [clock = &parts.clock](Instant at) { return clock->wall_ns_of(at); };
  backend.looks = [prober = &parts.edges.prober(),
                   redact = parts.redact](core::ServiceIndex service) {
    std::vector<api::Look> found = looks(*prober, service);
    for (api::Look& look : found) look.detail = redact(std::move(look.detail));
    return found;
  };
  backend.beat = [prober = &parts.edges.prober()](core::ServiceIndex service) {
    return prober->beat(service);
  };
  backend.tail = [own = &parts.edges.supervisor(), redact = parts.redact](
                     core::ServiceIndex service, std::size_t lines) {
    std::vector<std::string> found = tail(*own, service, lines);
    for (std::string& line : found) line = redact(std::move(line));
    return found;
  };
  backend.reload = parts.reload;
  backend.reexec = parts.reexec;
  backend.configuration = [parts] { return parts.configuration().second; };
  backend.replace_configuration = [parts](std::string_view yaml) { return replace(parts, yaml); };
  backend.checkpoints = &parts.edges.checkpoints();
  backend.version = RECOVER_VERSION;
  backend.resources = [own = &parts.edges.resources()] { return readings(*own); };
  backend.verify = [parts](std::function<void(api::Verified)> done) {
    verify(parts, std::move(done));
  };
  return backend;
}

}  // namespace recover::apps
