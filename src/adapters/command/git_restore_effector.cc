// Brings files of a git work tree back to what a commit holds.
//
// What was there before, files that git does not know included, is kept as a commit under
// refs/recover/before; the ref "before" goes back to it. Files that neither knows stay. Never moves
// a branch, never touches the author's index, never runs the repository's hooks, and runs as the
// owner of the work tree.
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "adapters/command/child_runs.h"

namespace recover::adapters::command {
namespace {

using clients::ChildEnd;
using core::CommandOutcome;
using effects::Outcome;

// $1: the commit; the rest: paths. A tree that is as wanted is left alone, so that a repetition
// does not keep it as the state to go back to. Exit 3: nothing was changed.
constexpr const char* kScript = R"(
set -eu
wanted=$1
shift
[ "$wanted" = before ] && wanted=refs/recover/before
commit=$(git rev-parse --verify --quiet "$wanted^{commit}") || { echo "no commit $wanted"; exit 3; }
top=$(git rev-parse --absolute-git-dir)
index=$top/recover-index.$$
trap 'rm -f "$index"' EXIT
[ -f "$top/index" ] && cp "$top/index" "$index"
GIT_INDEX_FILE=$index git add --all -- "$@" 2>/dev/null || true
tree=$(GIT_INDEX_FILE=$index git write-tree)
if git diff --quiet "$commit" -- "$@"; then
  echo "as $commit already"
  exit 0
fi
kept=$(echo "Before git_restore" | git commit-tree "$tree")
git update-ref refs/recover/before "$kept"
git restore --source="$commit" --worktree -- "$@"
git diff --stat --diff-filter=AM "$kept" "$commit" -- "$@" | tail -n 20
)";

class GitRestoreEffector final : public ports::Effector {
 public:
  explicit GitRestoreEffector(const Tools& tools) : tools_(tools), runs_(tools) {}

  void perform(const core::Command& command, const core::Policy& policy,
               ports::Done done) override {
    const core::CommandId id = command.id;
    const auto* action = std::get_if<core::GitRestoreAction>(&core::arguments_of(command, policy));
    if (action == nullptr || action->paths.empty()) {
      return effects::report(tools_, done, id, effects::refused("nothing to restore"));
    }
    if (command.settle) return effects::report(tools_, done, id, effects::settled());
    runs_.start(id, spec_of(*action, effects::time_left(command, tools_)), action->path, outcome_of,
                done);
  }
  void cancel(core::CommandId command) override { runs_.cancel(command); }

 private:
  // As the owner of the work tree: what its configuration makes git run is then only its own.
  static std::vector<std::string> as_owner(const std::string& path) {
    struct stat tree {};
    if (::geteuid() != 0 || ::stat(path.c_str(), &tree) != 0 || tree.st_uid == 0) return {};
    return {"setpriv",
            "--reuid",
            std::to_string(tree.st_uid),
            "--regid",
            std::to_string(tree.st_gid),
            "--clear-groups",
            "--no-new-privs"};
  }
  static clients::ChildSpec spec_of(const core::GitRestoreAction& action, Duration limit) {
    clients::ChildSpec spec{
        .command = as_owner(action.path),
        .variables = {"GIT_CONFIG_NOSYSTEM=1", "HOME=/nonexistent", "GIT_TERMINAL_PROMPT=0",
                      "GIT_LITERAL_PATHSPECS=1", "GIT_CONFIG_COUNT=2",
                      "GIT_CONFIG_KEY_0=core.hooksPath", "GIT_CONFIG_VALUE_0=/dev/null",
                      "GIT_CONFIG_KEY_1=core.fsmonitor", "GIT_CONFIG_VALUE_1=false",
                      "GIT_AUTHOR_NAME=recoverd", "GIT_AUTHOR_EMAIL=recoverd@localhost",
                      "GIT_COMMITTER_NAME=recoverd", "GIT_COMMITTER_EMAIL=recoverd@localhost"},
        .folder = action.path,
        .limit = limit,
        .kill_rest = true};
    for (const char* word : {"/bin/sh", "-c", kScript, "git_restore"}) {
      spec.command.emplace_back(word);
    }
    spec.command.push_back(action.ref);
    spec.command.insert(spec.command.end(), action.paths.begin(), action.paths.end());
    return spec;
  }
  static Outcome outcome_of(const ChildEnd& end) {
    constexpr int kNothingChanged = 3;
    if (end.good()) return {.detail = end.output};
    const std::string text = end.text() + (end.output.empty() ? "" : ": " + end.output);
    const bool exited = end.how == ChildEnd::How::Exited && end.killed.empty();
    if (exited && end.code == kNothingChanged) return effects::refused(end.output);
    return exited ? effects::failed(text) : effects::in_doubt(text);
  }

  Tools tools_;
  ChildRuns runs_;
};

}  // namespace

std::unique_ptr<ports::Effector> make_git_restore(const Tools& tools) {
  return std::make_unique<GitRestoreEffector>(tools);
}

}  // namespace recover::adapters::command
