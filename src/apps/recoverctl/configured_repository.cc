#include "apps/recoverctl/configured_repository.h"

#include <glob.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "apps/recoverctl/failure.h"
#include "apps/recoverctl/repository_access.h"
#include "backup/store/mirror/mirror_store.h"
#include "backup/store/store_location.h"
#include "config/load.h"
#include "posix/descriptor.h"

namespace recover::apps {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfigDefault = "/etc/recoverd/recoverd.yaml";
constexpr std::size_t kFileMax = 4U << 20U;

std::optional<std::string> own_environment(const std::string& name) {
  // Read before any thread of ours begins.
  const char* const value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe)
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

// The process behind the socket: root's or ours. Nobody else says which file is read.
std::optional<pid_t> daemon_behind(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) return std::nullopt;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const posix::Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto* const where = reinterpret_cast<const sockaddr*>(&address);
  if (!socket || ::connect(socket.get(), where, sizeof address) != 0) return std::nullopt;
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
  if (peer.uid != 0 && peer.uid != ::geteuid()) return std::nullopt;
  return peer.pid;
}

// Of /proc: texts that end with a zero byte. Empty: we may not read it.
std::vector<std::string> texts_in(pid_t pid, const char* file) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/" + file, std::ios::binary);
  std::vector<std::string> texts;
  for (std::string text; std::getline(in, text, '\0');) texts.push_back(text);
  return texts;
}

// What the daemon was started with.
class DaemonStart {
 public:
  explicit DaemonStart(const std::string& socket) {
    const auto pid = daemon_behind(socket);
    if (!pid) return;
    const auto words = texts_in(*pid, "cmdline");
    config_ = option(words, "--config");
    state_dir = option(words, "--state-dir");
    std::error_code ignored;
    const fs::path folder = fs::read_symlink("/proc/" + std::to_string(*pid) + "/cwd", ignored);
    if (!config_.empty() && !config_.starts_with('/')) config_ = (folder / config_).string();
    for (const std::string& text : texts_in(*pid, "environ")) {
      const auto equals = text.find('=');
      if (equals != std::string::npos) variables[text.substr(0, equals)] = text.substr(equals + 1);
    }
  }
  const std::string& config() const { return config_; }

  std::string state_dir;
  std::map<std::string, std::string> variables;

 private:
  static std::string option(const std::vector<std::string>& words, const std::string& name) {
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (words[i] == name && i + 1 < words.size()) return words[i + 1];
      if (words[i].starts_with(name + "=")) return words[i].substr(name.size() + 1);
    }
    return {};
  }

  std::string config_;
};

// Files as whoever runs us may read them; variables as the daemon has them, where we may see those.
class ConfigurationFiles final : public config::Files {
 public:
  explicit ConfigurationFiles(const DaemonStart& daemon) : daemon_(daemon) {}

  Result<std::string, std::string> read(const std::string& path) override {
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    if (!file || !fs::is_regular_file(path)) {
      return Unexpected(std::generic_category().message(errno == 0 ? EINVAL : errno));
    }
    std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (text.size() > kFileMax) return Unexpected(std::string("larger than 4 MiB"));
    return text;
  }
  std::vector<std::string> glob(const std::string& pattern, const std::string& base_dir) override {
    glob_t found{};
    std::vector<std::string> paths;
    const std::string whole = pattern.starts_with('/') ? pattern : base_dir + "/" + pattern;
    // Unsafe in threads only with a tilde.  NOLINTNEXTLINE(concurrency-mt-unsafe)
    if (::glob(whole.c_str(), 0, nullptr, &found) == 0) {
      paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
    }
    globfree(&found);
    return paths;
  }
  std::optional<std::string> environment(const std::string& name) override {
    const auto known = daemon_.variables.find(name);
    return known != daemon_.variables.end() ? known->second : own_environment(name);
  }

 private:
  const DaemonStart& daemon_;
};

std::string repository_names(const std::vector<core::BackupRepository>& repositories) {
  std::string names;
  for (const core::BackupRepository& one : repositories) {
    names += (names.empty() ? "" : ", ") + one.name;
  }
  return names;
}

const core::BackupRepository& chosen(const core::BackupPolicy& backup, const RepositoryWish& wish) {
  const auto& all = backup.repositories;
  if (all.empty()) {
    throw Failure(Exit::Usage, "USAGE",
                  "which repository? The configuration has no `backup:`; --repo REPOSITORY, or "
                  "RESTIC_REPOSITORY");
  }
  if (!wish.name.empty()) {
    const auto found = std::ranges::find(all, wish.name, &core::BackupRepository::name);
    if (found != all.end()) return *found;
    throw Failure(
        Exit::NoSuchThing, "REPOSITORY_NOT_FOUND",
        "the configuration has no repository " + wish.name + "; it has " + repository_names(all));
  }
  if (!wish.type.empty()) {
    const auto type = std::ranges::find(backup.types, wish.type, &core::BackupType::name);
    if (type != backup.types.end()) return all.at(type->repository);
    throw Failure(Exit::NoSuchThing, "BACKUP_NOT_FOUND",
                  "the configuration has no backup " + wish.type);
  }
  if (all.size() == 1) return all.front();
  throw Failure(Exit::Usage, "USAGE",
                "which repository? The configuration has " + repository_names(all) +
                    ": --name NAME, or --type TYPE");
}

backup::StoreWish store_wish(const RepositoryWish& wish, const core::BackupRepository& repository) {
  backup::StoreWish store = store_wish_of(wish);
  // A second session's token would not fit to the configuration's keys.
  store.access_key = repository.access_key;
  store.secret_key = repository.secret_key;
  store.session_token = {};
  if (!repository.region.empty()) store.region = repository.region;
  if (!repository.ca_file.empty()) store.ca_file = repository.ca_file;
  store.append_only = store.append_only || repository.append_only;
  const auto kib = [](std::uint64_t bytes) { return (bytes + 1023) / 1024; };
  auto& limits = store.bandwidth;
  if (limits.upload_kib_per_second == 0) limits.upload_kib_per_second = kib(repository.upload);
  if (limits.download_kib_per_second == 0) {
    limits.download_kib_per_second = kib(repository.download);
  }
  return store;
}

std::unique_ptr<backup::Store> opened(const std::string& location, const backup::StoreWish& wish) {
  auto store = backup::open_store(location, wish);
  if (!store) throw failure_of(store.error());
  return std::move(*store);
}

}  // namespace

bool is_of_configuration(const RepositoryWish& wish) {
  if (!wish.location.empty()) return false;
  const bool named = !wish.name.empty() || !wish.type.empty() || !wish.config.empty();
  return named || !own_environment("RESTIC_REPOSITORY");
}

ConfiguredRepository configured_repository(const RepositoryWish& wish) {
  const DaemonStart daemon(wish.socket);
  std::string path = wish.config.empty() ? daemon.config() : wish.config;
  if (path.empty()) path = kConfigDefault;
  ConfigurationFiles files(daemon);
  if (auto readable = files.read(path); !readable) {
    throw Failure(readable.error() == std::generic_category().message(EACCES) ? Exit::NotPermitted
                                                                              : Exit::Usage,
                  "NO_CONFIGURATION",
                  "which repository? --repo REPOSITORY, or RESTIC_REPOSITORY; of the "
                  "configuration " +
                      path + ": " + readable.error());
  }
  auto loaded = config::load(path, files);
  if (!loaded) {
    throw Failure(Exit::Failed, "BAD_CONFIGURATION",
                  "the configuration cannot be used: " + to_string(loaded.error().front()));
  }
  return {.repository = chosen(loaded->backup, wish),
          .state_dir = daemon.state_dir.empty() ? loaded->policy.state_dir : daemon.state_dir};
}

std::unique_ptr<backup::Store> open_configured(const RepositoryWish& wish) {
  const ConfiguredRepository found = configured_repository(wish);
  const core::BackupRepository& repository = found.repository;
  const backup::StoreWish usual = store_wish(wish, repository);
  if (repository.mirror.empty()) return opened(repository.location, usual);
  // Where the daemon's workers keep it, too: each knows what the other left behind.
  const std::string state = found.state_dir + "/backups/mirrors/" + repository.name + ".json";
  std::error_code ignored;
  const fs::path folder = fs::path(state).parent_path();
  if (fs::create_directories(folder, ignored)) {  // As the daemon has them: for itself alone.
    fs::permissions(folder, fs::perms::owner_all, ignored);
    fs::permissions(folder.parent_path(), fs::perms::owner_all, ignored);
  }
  std::vector<backup::MirrorMember> members;
  for (const core::BackupMember& member : repository.mirror) {
    backup::StoreWish own = usual;
    own.access_key = member.access_key;
    own.secret_key = member.secret_key;
    own.region = member.region;
    if (!member.ca_file.empty()) own.ca_file = member.ca_file;
    own.append_only = usual.append_only || member.append_only;
    members.push_back({.name = member.name,
                       .store = opened(member.location, own),
                       .writes = member.later ? backup::MirrorMember::Writes::Later
                                              : backup::MirrorMember::Writes::Together,
                       .append_only = own.append_only});
  }
  return std::make_unique<backup::MirrorStore>(
      std::move(members), backup::MirrorOptions{.name = repository.name, .state_path = state});
}

}  // namespace recover::apps
