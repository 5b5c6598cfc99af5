#include "apps/recoverd/api_backend.h"

#include <boost/asio/post.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "apps/recoverd/configuration.h"
#include "apps/recoverd/disk_files.h"
#include "config/load.h"
#include "posix/descriptor.h"

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

using adapters::process::Stream;

// Of both outputs, or of one.
std::vector<std::string> tail(const adapters::process::Supervisor& supervisor,
                              core::ServiceIndex service, std::size_t lines,
                              std::optional<Stream> stream = {}) {
  std::vector<std::string> all;
  const std::size_t instances = supervisor.instances(service).size();
  for (std::uint32_t instance = 0; instance < instances; ++instance) {
    const auto own = stream ? supervisor.tail_of(service, instance, *stream)
                            : supervisor.tail(service, instance);
    all.insert(all.end(), own.begin(), own.end());
  }
  // Lines begin with their time; those of one instance keep their order.
  const auto stamp = [](const std::string& line) {
    return std::string_view(line).substr(0, line.find(' '));
  };
  if (instances > 1) std::ranges::stable_sort(all, {}, stamp);
  if (all.size() > lines) all.erase(all.begin(), all.end() - static_cast<std::ptrdiff_t>(lines));
  return all;
}

// What is kept in memory, as the end of all that was printed.
api::Output from_memory(const adapters::process::Supervisor& supervisor, core::ServiceIndex service,
                        std::uint32_t instance, Stream stream, std::uint64_t from,
                        std::size_t bytes) {
  api::Output output;
  output.end = supervisor.recorded(service, instance, stream);
  for (const std::string& line : supervisor.tail_of(service, instance, stream)) {
    output.text += line + "\n";
  }
  output.begin = output.end - std::min<std::uint64_t>(output.end, output.text.size());
  if (from > output.begin) {
    const std::uint64_t skipped = std::min<std::uint64_t>(from - output.begin, output.text.size());
    output.text.erase(0, skipped);
    output.begin += skipped;
  }
  if (output.text.size() > bytes) output.text.resize(bytes);
  return output;
}

// Nothing: it cannot be read. O_NONBLOCK: whatever stands at the path, the loop does not wait.
std::optional<api::Output> from_file(const std::string& path, std::uint64_t from,
                                     std::size_t bytes) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
  if (file < 0) return std::nullopt;
  const posix::Descriptor closed(file);
  struct stat status {};
  if (::fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  if (status.st_nlink != 1) return std::nullopt;  // As OutputLog writes it.
  api::Output output;
  output.end = static_cast<std::uint64_t>(status.st_size);
  output.begin = std::min(from, output.end);
  output.text.resize(std::min<std::uint64_t>(output.end - output.begin, bytes));
  const ssize_t size =
      ::pread(file, output.text.data(), output.text.size(), static_cast<off_t>(output.begin));
  output.text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return output;
}

// What is read, and from where on.
struct Stretch {
  core::ServiceIndex service;
  std::uint32_t instance = 0;
  Stream stream = Stream::Output;
  std::uint64_t from = 0;
  std::size_t bytes = 0;
};

api::Output output_of(const ApiParts& parts, const Stretch& of) {
  const auto& spec = parts.loop.engine().policy().service(of.service).spec;
  const auto* run = std::get_if<core::RunSpec>(&spec);
  std::string path;
  if (run != nullptr) {
    path = of.stream == Stream::Output ? run->output.path : run->output.errors.value_or("");
  }
  std::optional<api::Output> output;
  // Several instances write into one file: it is the log of each.
  if (!path.empty()) output = from_file(path, of.from, of.bytes);
  if (!output) {
    output = from_memory(parts.edges.supervisor(), of.service, of.instance, of.stream, of.from,
                         of.bytes);
  }
  output->text = parts.redact(std::move(output->text));
  return std::move(*output);
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
  parts.journal.settle();  // The reader sees the database alone.
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
  backend.output = [parts](core::ServiceIndex service, std::uint32_t instance, std::uint64_t from,
                           std::size_t bytes) {
    return output_of(parts, {service, instance, Stream::Output, from, bytes});
  };
  backend.error_output = [parts](core::ServiceIndex service, std::uint32_t instance,
                                 std::uint64_t from, std::size_t bytes) {
    return output_of(parts, {service, instance, Stream::Error, from, bytes});
  };
  backend.error_tail = [own = &parts.edges.supervisor(), redact = parts.redact](
                           core::ServiceIndex service, std::size_t lines) {
    std::vector<std::string> found = tail(*own, service, lines, Stream::Error);
    for (std::string& line : found) line = redact(std::move(line));
    return found;
  };
  backend.clear_output = [own = &parts.edges.supervisor()](core::ServiceIndex service,
                                                           std::uint32_t instance) {
    own->clear_output(service, instance);
  };
  backend.reload = parts.reload;
  backend.preview = parts.preview;
  backend.shutdown = parts.shutdown;
  backend.pid = parts.pid;
  backend.reexec = parts.reexec;
  backend.configuration = [parts] { return parts.configuration().second; };
  backend.replace_configuration = [parts](std::string_view yaml) { return replace(parts, yaml); };
  backend.checkpoints = &parts.edges.checkpoints();
  backend.backups = &parts.edges.backups();
  backend.configuration_history = parts.configuration_history;
  backend.aside = [pool = &parts.edges.pool(), io = &parts.io](std::function<void()> work,
                                                               std::function<void()> done) {
    asio::post(*pool, [io, work = std::move(work), done = std::move(done)]() mutable {
      work();
      asio::post(*io, std::move(done));
    });
  };
  backend.version = RECOVER_VERSION;
  backend.resources = [own = &parts.edges.resources()] { return readings(*own); };
  backend.verify = [parts](std::function<void(api::Verified)> done) {
    verify(parts, std::move(done));
  };
  return backend;
}

}  // namespace recover::apps
