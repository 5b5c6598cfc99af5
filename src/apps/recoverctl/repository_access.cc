#include "apps/recoverctl/repository_access.h"

#include <pwd.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "apps/recoverctl/configured_repository.h"
#include "apps/recoverctl/mirror_file.h"
#include "backup/memory_budget.h"
#include "backup/repo/index_cache.h"
#include "backup/repo/patient_lock.h"
#include "backup/store/store_location.h"

namespace recover::apps {
namespace {

std::string environment(const char* name) {
  // Read before any thread of ours begins.
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  return value == nullptr ? "" : value;
}

// restic cuts white space at both ends of a file and of a command's output, but not of the
// variable.
std::string trimmed(const std::string& text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string password_in(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::string text;
  if (in && std::filesystem::is_regular_file(file)) {
    text.assign(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  } else {
    throw Failure(Exit::Usage, "PASSWORD_FILE", file + ": the password file cannot be read");
  }
  return trimmed(text);
}

std::string output_of(const std::string& command) {
  constexpr std::size_t kPieceBytes = 4096;
  std::FILE* const pipe = ::popen(command.c_str(), "re");
  std::string output;
  std::array<char, kPieceBytes> piece{};
  for (std::size_t got = 1; pipe != nullptr && got > 0;) {
    got = std::fread(piece.data(), 1, piece.size(), pipe);
    output.append(piece.data(), got);
  }
  if (pipe == nullptr || ::pclose(pipe) != 0) {
    throw Failure(Exit::Failed, "PASSWORD_COMMAND", "the password command failed: " + command);
  }
  return output;
}

sigset_t ending_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&signals, signal);
  return signals;
}

}  // namespace

Failure failure_of(const backup::Failure& failure) {
  using Kind = backup::FailureKind;
  switch (failure.kind) {
    case Kind::NotFound: return {Exit::NoSuchThing, "NOT_FOUND", failure.message};
    case Kind::Exists: return {Exit::Failed, "EXISTS", failure.message};
    case Kind::WrongPassword: return {Exit::NotPermitted, "WRONG_PASSWORD", failure.message};
    case Kind::Damaged:
      return {Exit::Failed, "DAMAGED", failure.message,
              "`recoverctl backup verify --all` tells what is affected"};
    case Kind::Unsupported: return {Exit::Failed, "UNSUPPORTED", failure.message};
    case Kind::Locked:
      return {Exit::Failed, "LOCKED", failure.message,
              "wait for it, or `recoverctl backup unlock` if that process is gone for good"};
    case Kind::Full: return {Exit::Failed, "DISK_FULL", failure.message};
    case Kind::NotPermitted: return {Exit::NotPermitted, "NOT_PERMITTED", failure.message};
    case Kind::Invalid: return {Exit::Failed, "STOPPED", failure.message};
    case Kind::Unreachable:
      return {Exit::Unreachable, "UNREACHABLE", failure.message,
              "nothing was lost: repeat it later"};
    case Kind::Io: return {Exit::Failed, "IO", failure.message};
  }
  return {Exit::Failed, "IO", failure.message};
}

backup::StoreWish store_wish_of(const RepositoryWish& wish) {
  backup::StoreWish store{
      .options = {},
      .bandwidth = {.upload_kib_per_second = wish.upload_kib,
                    .download_kib_per_second = wish.download_kib},
      .ca_file = wish.ca_file.empty() ? environment("RESTIC_CACERT") : wish.ca_file,
      .access_key = environment("AWS_ACCESS_KEY_ID"),
      .secret_key = base::Secret(environment("AWS_SECRET_ACCESS_KEY")),
      .session_token = base::Secret(environment("AWS_SESSION_TOKEN")),
      .region = environment("AWS_DEFAULT_REGION"),
      .append_only = wish.append_only};
  if (store.region.empty()) store.region = environment("AWS_REGION");
  for (const std::string& option : wish.options) {
    const std::size_t equals = option.find('=');
    if (equals == std::string::npos) {
      throw Failure(Exit::Usage, "USAGE", "--option " + option + ": should be KEY=VALUE");
    }
    store.options[option.substr(0, equals)] = option.substr(equals + 1);
  }
  return store;
}

std::unique_ptr<backup::Store> store_of(const RepositoryWish& wish) {
  if (is_of_configuration(wish)) return open_configured(wish);
  const std::string location =
      wish.location.empty() ? environment("RESTIC_REPOSITORY") : wish.location;
  constexpr std::string_view kMirror = "mirror:";
  if (location.starts_with(kMirror)) {
    return open_mirror(location.substr(kMirror.size()), store_wish_of(wish));
  }
  auto store = backup::open_store(location, store_wish_of(wish));
  if (store) return std::move(*store);
  if (store.error().kind == backup::FailureKind::Invalid) {
    throw Failure(Exit::Usage, "USAGE", store.error().message);
  }
  throw failure_of(store.error());
}

base::Secret password_of(const RepositoryWish& wish) {
  // What was typed comes before what the environment has.
  std::string text;
  if (!wish.password_file.empty()) {
    text = password_in(wish.password_file);
  } else if (!wish.password_command.empty()) {
    text = trimmed(output_of(wish.password_command));
  } else if (is_of_configuration(wish)) {
    return configured_repository(wish).repository.password;
  } else if (const std::string file = environment("RESTIC_PASSWORD_FILE"); !file.empty()) {
    text = password_in(file);
  } else if (const auto command = environment("RESTIC_PASSWORD_COMMAND"); !command.empty()) {
    text = trimmed(output_of(command));
  } else {
    text = environment("RESTIC_PASSWORD");
  }
  if (text.empty()) {
    throw Failure(Exit::Usage, "NO_PASSWORD",
                  "the repository's password is missing or empty: set RESTIC_PASSWORD, or give "
                  "--password-file or --password-command");
  }
  return base::Secret(std::move(text));
}

OpenRepository open_repository(const RepositoryWish& wish) {
  backup::keep_memory_small();
  auto store = store_of(wish);
  auto repository = backup::Repository::open(*store, password_of(wish));
  if (!repository) throw failure_of(repository.error());
  repository->set_cache_folder(backup::default_cache_folder());
  return {.store = std::move(store), .repository = std::move(*repository)};
}

std::vector<backup::Repository::FoundSnapshot> wanted_snapshots(
    const backup::Repository& repository, const RepositoryWish& wish, const std::string& snapshot) {
  using Found = backup::Repository::FoundSnapshot;
  if (wish.type.empty() || snapshot != "latest") {
    auto found = repository.find_snapshot(snapshot);
    if (!found) throw failure_of(found.error());
    return {std::move(*found)};
  }
  auto all = repository.snapshots();
  if (!all) throw failure_of(all.error());
  std::vector<Found> newest;
  for (auto one = all->rbegin(); one != all->rend(); ++one) {
    const bool fits =
        is_of_type(wish, *one) && one->snapshot.host == host_name() && !one->snapshot.is_partial();
    const bool is_new = std::ranges::none_of(
        newest, [&](const Found& other) { return other.snapshot.paths == one->snapshot.paths; });
    if (fits && is_new) newest.push_back(std::move(*one));
  }
  if (newest.empty()) {
    throw Failure(Exit::NoSuchThing, "NOT_FOUND",
                  "there is no backup of " + wish.type + " of this host yet");
  }
  return newest;
}

backup::Repository::FoundSnapshot wanted_snapshot(const backup::Repository& repository,
                                                  const RepositoryWish& wish,
                                                  const std::string& snapshot) {
  auto found = wanted_snapshots(repository, wish, snapshot);
  if (found.size() == 1) return std::move(found.front());
  std::string ids;
  for (const auto& one : found) {
    ids += (ids.empty() ? "" : ", ") + backup::hex(one.id).substr(0, 8) + " of " +
           (one.snapshot.paths.empty() ? "" : one.snapshot.paths.front());
  }
  throw Failure(Exit::Usage, "USAGE",
                "the latest of " + wish.type + " are several snapshots; which? " + ids);
}

bool is_of_type(const RepositoryWish& wish, const backup::Repository::FoundSnapshot& found) {
  const auto& tags = found.snapshot.tags;
  return wish.type.empty() || std::ranges::find(tags, wish.type) != tags.end();
}

std::string host_name() {
  std::array<char, 256> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

std::string user_name() {
  std::array<char, 4096> room{};
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(::geteuid(), &entry, room.data(), room.size(), &found);
  return found != nullptr ? found->pw_name : std::to_string(::geteuid());
}

backup::Timestamp wall_clock() {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME, &time);
  return {.seconds = time.tv_sec, .nanoseconds = static_cast<std::uint32_t>(time.tv_nsec)};
}

StopOnSignal::StopOnSignal() {
  const sigset_t signals = ending_signals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  waiter_ = std::jthread([this](const std::stop_token& done) {
    const sigset_t waited = ending_signals();
    const timespec period{.tv_sec = 0, .tv_nsec = 100'000'000};
    while (!done.stop_requested()) {
      const int signal = ::sigtimedwait(&waited, nullptr, &period);
      if (signal == SIGINT || signal == SIGTERM) source_.request_stop();
    }
  });
}

StopOnSignal::~StopOnSignal() {
  waiter_.request_stop();
  // Blocked everywhere and taken in silence: it only ends the wait at once.
  ::pthread_kill(waiter_.native_handle(), SIGHUP);
  waiter_.join();
  const sigset_t signals = ending_signals();
  ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

unsigned threads_of(const RepositoryWish& wish) {
  return backup::MemoryBudget{.mib = wish.memory_mib}.threads(std::thread::hardware_concurrency());
}

std::unique_ptr<backup::RepositoryLock> lock_of(const backup::Repository& repository,
                                                backup::LockKind kind) {
  // A prune of ours holds it for seconds at a time.
  auto lock = backup::acquire_patiently(repository, kind);
  if (!lock) throw failure_of(lock.error());
  return std::move(*lock);
}

std::unique_ptr<backup::RepositoryLock> reading_lock_of(const Session& session,
                                                        const backup::Repository& repository) {
  auto lock = backup::RepositoryLock::acquire(repository, backup::LockKind::Shared);
  if (lock) return std::move(*lock);
  const backup::FailureKind kind = lock.error().kind;
  // Unreachable: of a mirror, who can be written to is gone, and who can be read is there.
  if (kind != backup::FailureKind::NotPermitted && kind != backup::FailureKind::Full &&
      kind != backup::FailureKind::Unreachable) {
    throw failure_of(lock.error());
  }
  session.err << "recoverctl: reading without a lock: " << lock.error().message << "\n";
  return nullptr;
}

}  // namespace recover::apps
