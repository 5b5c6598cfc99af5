#include "apps/recoverd_backup/sources/git_source.h"

#include <fcntl.h>

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>
#include <utility>

#include "apps/recoverd_backup/sources/program_dump.h"
#include "backup/local/file.h"

namespace recover::apps {
namespace {

using backup::FailureKind;
using backup::Outcome;

using Refs = std::map<std::string, std::string>;  // What they point to, by name.

constexpr const char* kPatterns[] = {"refs/heads/*", "refs/tags/*", "refs/notes/*"};
// Gives what stands in its variables, so that no secret is in an argument.
constexpr const char* kCredentialHelper =
    "!f() { test \"$1\" = get && printf 'username=%s\\npassword=%s\\n' "
    "\"$RECOVERD_GIT_USER\" \"$RECOVERD_GIT_PASSWORD\"; }; f";

// "https://host:port" of a URL; empty: it is none that is asked for a password.
std::string origin_of(const std::string& url) {
  const auto scheme = url.find("://");
  if (!url.starts_with("https://") && !url.starts_with("http://")) return {};
  std::string authority = url.substr(scheme + 3, url.find_first_of("/?#", scheme + 3) - scheme - 3);
  authority = authority.substr(authority.rfind('@') + 1);
  return authority.empty() ? std::string() : url.substr(0, scheme + 3) + authority;
}

// "<id> <name>" a line.
Refs refs_in(const std::string& text) {
  Refs refs;
  std::istringstream in(text);
  for (std::string id, name; in >> id >> name;) {
    const bool ours = std::ranges::any_of(kPatterns, [&](std::string_view pattern) {
      return name.starts_with(pattern.substr(0, pattern.size() - 1));
    });
    if (ours && !name.ends_with("^{}")) refs[name] = id;
  }
  return refs;
}

// A dump that is also written to a file of ours. That the file could not be written is told when it
// is asked for: the backup is whole all the same.
class CopiedDump final : public Dump {
 public:
  CopiedDump(std::unique_ptr<Dump> dump, posix::Descriptor file, Outcome<void>& copied)
      : dump_(std::move(dump)), file_(std::move(file)), copied_(copied) {}

  Outcome<std::size_t> read(std::span<std::uint8_t> room) override {
    auto got = dump_->read(room);
    if (got && copied_ && !backup::write_all(file_.get(), room.first(*got))) {
      copied_ = backup::system_failure("writing", "a copy of the bundle");
    }
    return got;
  }
  Outcome<void> finish() override { return dump_->finish(); }

 private:
  std::unique_ptr<Dump> dump_;
  posix::Descriptor file_;
  Outcome<void>& copied_;
};

class GitRepository final : public Source {
 public:
  GitRepository(const core::GitSource& source, std::string scratch, std::stop_token stop)
      : source_(source),
        scratch_(std::move(scratch)),
        stop_(std::move(stop)),
        account_(Account::owner_of(source.repository)) {}

  std::vector<std::string> secrets() const override {
    std::vector<std::string> all;
    for (const core::GitRemote& remote : source_.remotes) all.push_back(remote.password.reveal());
    return all;
  }

  Outcome<std::vector<DumpFile>> files() override {
    const auto shallow = text_of(git({"rev-parse", "--is-shallow-repository"}), stop_);
    if (!shallow) return Unexpected(shallow.error());
    if (shallow->starts_with("true")) {
      return backup::fail(FailureKind::Invalid,
                          source_.repository + ": a shallow clone does not hold its own history");
    }
    std::string name = source_.repository;
    while (name.ends_with('/')) name.pop_back();
    name = name.substr(name.rfind('/') + 1);
    if (name.ends_with(".git") && name.size() > 4) name.resize(name.size() - 4);
    return std::vector<DumpFile>{
        {.name = name + ".bundle", .open = [this] { return open_bundle(); }}};
  }

  std::vector<RemoteReport> mirror() override {
    std::vector<RemoteReport> reports;
    const auto cloned = clone_copy();
    for (const core::GitRemote& remote : source_.remotes) {
      RemoteReport report{.remote = remote.url, .error = {}, .refs = 0, .gone = {}};
      const bool is_apart = !remote.password.empty();
      const auto done = is_apart && !cloned ? cloned : mirror_to(remote, report);
      if (!done) report.error = done.error().message;
      reports.push_back(std::move(report));
    }
    return reports;
  }

  Outcome<DrillAnswer> drill(const ScratchFolder& folder, const std::vector<std::string>& files,
                             const std::string& query) override {
    const std::string clone = folder / "clone.git";
    const std::string bundle = folder / files.front();
    auto cloned = text_of(plain_git({"clone", "--quiet", "--mirror", bundle, clone}), stop_);
    if (!cloned) return damaged(cloned.error());
    for (const auto& words :
         std::vector<std::vector<std::string>>{{"-C", clone, "bundle", "verify", "--quiet", bundle},
                                               {"-C", clone, "fsck", "--full", "--no-progress"}}) {
      auto sound = text_of(plain_git(words), stop_);
      if (!sound) return damaged(sound.error());
    }
    std::vector<std::string> words = {"-C", clone};
    std::istringstream in(query.empty() ? std::string("for-each-ref") : query);
    for (std::string word; in >> word;) words.push_back(word);
    auto answer = text_of(plain_git(words), stop_);
    if (!answer) return Unexpected(std::move(answer.error()));
    while (answer->ends_with('\n')) answer->pop_back();
    if (!query.empty()) return DrillAnswer{.asked = "git " + query, .answer = std::move(*answer)};
    const auto count = answer->empty() ? 0 : std::ranges::count(*answer, '\n') + 1;
    return DrillAnswer{.asked = "how many branches, tags and other refs there are",
                       .answer = std::to_string(count)};
  }

 private:
  static Unexpected<backup::Failure> damaged(const backup::Failure& why) {
    return backup::fail(FailureKind::Damaged, why.message);
  }

  // Nobody is there to be asked for a password.
  static ProgramSpec plain_git(const std::vector<std::string>& words) {
    ProgramSpec spec{.command = {"git"}};
    spec.command.insert(spec.command.end(), words.begin(), words.end());
    spec.variables = {"GIT_TERMINAL_PROMPT=0", "LC_ALL=C"};
    return spec;
  }

  ProgramSpec git(const std::vector<std::string>& words) const {
    std::vector<std::string> all = {"-C", source_.repository};
    all.insert(all.end(), words.begin(), words.end());
    ProgramSpec spec = plain_git(all);
    spec.folder = "/";
    if (account_) {
      spec.account = &*account_;
      spec.variables.push_back("HOME=" + account_->home);
    }
    return spec;
  }

  bool has_secret() const {
    return std::ranges::any_of(source_.remotes,
                               [](const auto& remote) { return !remote.password.empty(); });
  }

  Outcome<std::unique_ptr<Dump>> open_bundle() {
    auto dump = dump_of(git({"bundle", "create", "--quiet", "-", "--all"}), stop_);
    if (!dump || !has_secret()) return dump;
    auto folder = ScratchFolder::make(scratch_);
    if (!folder) return Unexpected(std::move(folder.error()));
    copy_.emplace(std::move(*folder));
    const std::string path = *copy_ / kCopy;
    posix::Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file) return backup::system_failure("making", path);
    return std::unique_ptr<Dump>(
        std::make_unique<CopiedDump>(std::move(*dump), std::move(file), copied_));
  }

  // The repository that remotes with a password get: exactly what the bundle holds.
  Outcome<void> clone_copy() const {
    if (!has_secret()) return {};
    if (!copied_) return copied_;
    if (!copy_) return backup::fail(FailureKind::NotFound, "there is no bundle to push from");
    const auto cloned = text_of(
        apart({"clone", "--quiet", "--mirror", "--template=", *copy_ / kCopy, *copy_ / kClone}),
        stop_);
    if (!cloned) return Unexpected(cloned.error());
    return {};
  }

  // As we are: whoever owns the repository can read neither our variables nor what we do.
  static ProgramSpec apart(const std::vector<std::string>& words) {
    ProgramSpec spec = plain_git(words);
    spec.folder = "/";
    spec.variables.insert(
        spec.variables.end(),
        {"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_CONFIG_GLOBAL=/dev/null"});
    return spec;
  }

  // In the repository, or in the copy where there is a secret to tell.
  ProgramSpec git_for(const core::GitRemote& remote, const std::vector<std::string>& words) const {
    if (remote.password.empty()) return git(words);
    std::vector<std::string> all = {"-C", *copy_ / kClone};
    all.insert(all.end(), words.begin(), words.end());
    return apart(all);
  }

  // A server that sends less than 1000 bytes a second for a minute is given up.
  ProgramSpec git_to(const core::GitRemote& remote, const std::vector<std::string>& words) const {
    ProgramSpec spec = git_for(remote, words);
    std::vector<std::pair<std::string, std::string>> settings = {{"http.lowSpeedLimit", "1000"},
                                                                 {"http.lowSpeedTime", "60"}};
    if (!remote.password.empty()) {
      settings.emplace_back("core.hooksPath", "/dev/null");
      settings.emplace_back("credential.helper", "");  // Forget those of the configuration.
      // Of that host alone: a server that leads elsewhere does not lead the password there.
      const std::string origin = origin_of(remote.url);
      if (!origin.empty()) {
        settings.emplace_back("credential." + origin + ".helper", kCredentialHelper);
      }
      spec.variables.push_back("RECOVERD_GIT_USER=" + remote.user);
      spec.variables.push_back("RECOVERD_GIT_PASSWORD=" + remote.password.reveal());
    }
    spec.variables.push_back("GIT_CONFIG_COUNT=" + std::to_string(settings.size()));
    for (std::size_t i = 0; i < settings.size(); ++i) {
      spec.variables.push_back("GIT_CONFIG_KEY_" + std::to_string(i) + "=" + settings[i].first);
      spec.variables.push_back("GIT_CONFIG_VALUE_" + std::to_string(i) + "=" + settings[i].second);
    }
    return spec;
  }

  Outcome<void> mirror_to(const core::GitRemote& remote, RemoteReport& report) const {
    const auto ours =
        text_of(git_for(remote, {"for-each-ref", "--format=%(objectname) %(refname)"}), stop_);
    if (!ours) return Unexpected(ours.error());
    const Refs local = refs_in(*ours);
    const auto theirs = text_of(git_to(remote, {"ls-remote", "--refs", "--", remote.url}), stop_);
    if (!theirs) return Unexpected(theirs.error());
    for (const auto& [name, id] : refs_in(*theirs)) {
      if (!local.contains(name)) report.gone.push_back(name);
    }
    if (local.empty()) {
      return backup::fail(FailureKind::NotFound, "the repository has no branch and no tag");
    }
    std::vector<std::string> words = {"push", "--quiet", "--force"};
    if (source_.prune) words.emplace_back("--prune");
    words.insert(words.end(), {"--", remote.url});
    for (const std::string pattern : kPatterns) words.push_back(pattern + ":" + pattern);
    if (auto pushed = text_of(git_to(remote, words), stop_); !pushed) {
      return Unexpected(std::move(pushed.error()));
    }
    report.refs = local.size();
    return {};
  }

  static constexpr const char* kCopy = "copy.bundle";
  static constexpr const char* kClone = "copy.git";

  const core::GitSource& source_;
  std::string scratch_;
  std::stop_token stop_;
  std::optional<Account> account_;
  std::optional<ScratchFolder> copy_;  // The bundle, and a clone of it. None: nobody needs them.
  Outcome<void> copied_;
};

}  // namespace

std::unique_ptr<Source> make_git_source(const core::GitSource& source, std::string scratch,
                                        std::stop_token stop) {
  return std::make_unique<GitRepository>(source, std::move(scratch), std::move(stop));
}

}  // namespace recover::apps
