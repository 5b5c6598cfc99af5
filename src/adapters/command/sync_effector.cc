// Makes one folder hold what another one holds, with rsync, and compares them afterwards.
//
// Both are read as a whole: times prove nothing about data. Refuses a source that is not there, one
// that is empty where that would empty the target, and folders within one another. Done again it
// changes nothing more.
#include <string>

#include "adapters/command/child_runs.h"

namespace recover::adapters::command {
namespace {

using clients::ChildEnd;
using effects::Outcome;

// $1: from; $2: to; $3: yes when what only `to` has goes; $4: yes when nothing is to be changed.
// Exit 3: nothing was changed, and nothing can be.
constexpr const char* kSyncScript = R"sh(
set -eu
refuse() { echo "$1"; exit 3; }
command -v rsync >/dev/null || refuse "rsync is not installed (Debian: the package rsync)"
[ -d "$1" ] || refuse "$1 is not a folder"
from=$(realpath -- "$1")
to=$(realpath -m -- "$2")
case "$to/" in "$from"/*) refuse "$to lies within $from" ;; esac
case "$from/" in "$to"/*) refuse "$from lies within $to" ;; esac
[ ! -e "$to" ] || [ -d "$to" ] || refuse "$to is not a folder"
remove=
if [ "$3" = yes ]; then
  [ -n "$(ls -A -- "$from")" ] || refuse "$from is empty: nothing of $to would be left"
  remove=--delete-after
fi
list=$(mktemp)
trap 'rm -f "$list"' EXIT
compare() {
  rsync -aHAX --numeric-ids --checksum --dry-run --itemize-changes $remove -- "$from/" "$to/" >"$list"
}
told() {
  head -n 20 "$list"
  count=$(wc -l <"$list")
  [ "$count" -le 20 ] || echo "and $((count - 20)) more"
}
compare
[ -s "$list" ] || { echo "$to is as $from"; exit 0; }
if [ "$4" = yes ]; then
  echo "$to is not as $from:"
  told
  exit 1
fi
summary=$(told)
code=0
rsync -aHAX --numeric-ids --checksum $remove -- "$from/" "$to/" || code=$?
[ "$code" -eq 0 ] || [ "$code" -eq 24 ] || exit "$code"
compare
if [ -s "$list" ]; then
  echo "$to is still not as $from:"
  told
  exit 1
fi
echo "brought in line:"
echo "$summary"
)sh";

class SyncEffector final : public ports::Effector {
 public:
  explicit SyncEffector(const Tools& tools) : tools_(tools), runs_(tools) {}

  void perform(const core::Command& command, const core::Policy& policy,
               ports::Done done) override {
    const core::CommandId id = command.id;
    const auto* action = std::get_if<core::SyncAction>(&core::arguments_of(command, policy));
    if (action == nullptr) {
      return effects::report(tools_, done, id, effects::refused("nothing to sync"));
    }
    if (command.settle) return effects::report(tools_, done, id, effects::settled());
    runs_.start(id, spec_of(*action, effects::time_left(command, tools_)), action->to, outcome_of,
                done);
  }
  void cancel(core::CommandId command) override { runs_.cancel(command); }

 private:
  static clients::ChildSpec spec_of(const core::SyncAction& action, Duration limit) {
    return {.command = {"/bin/sh", "-c", kSyncScript, "sync", action.from, action.to,
                        action.remove ? "yes" : "no", action.check_only ? "yes" : "no"},
            .variables = {"LC_ALL=C"},
            .folder = "/",
            .limit = limit,
            .kill_rest = true};
  }
  static Outcome outcome_of(const ChildEnd& end) {
    constexpr int kNothingChanged = 3;
    if (end.good()) return {.detail = end.output};
    const bool exited = end.how == ChildEnd::How::Exited && end.killed.empty();
    if (exited && end.code == kNothingChanged) return effects::refused(end.output);
    const std::string text = end.text() + (end.output.empty() ? "" : ": " + end.output);
    return exited ? effects::failed(text) : effects::in_doubt(text);
  }

  Tools tools_;
  ChildRuns runs_;
};

}  // namespace

std::unique_ptr<ports::Effector> make_sync(const Tools& tools) {
  return std::make_unique<SyncEffector>(tools);
}

}  // namespace recover::adapters::command
