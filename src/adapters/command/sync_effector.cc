// Makes one folder hold what another one holds, with rsync, and compares them afterwards.
//
// Both are read as a whole: times prove nothing about data. Refuses a source that is not there, one
// that is empty where that would empty the target, folders within one another, /, and a way that a
// symbolic link or somebody else's right to write could lead elsewhere. What belongs to an account
// is written with that account's rights. Done again it changes nothing more.
#include <string>
#include <utility>

#include "adapters/command/child_runs.h"

namespace recover::adapters::command {
namespace {

using clients::ChildEnd;
using effects::Outcome;

// $1: from; $2: to; $3: yes when what only `to` has goes; $4: yes when nothing is to be changed;
// $5: where a file is locked, so that one whose engine died is over before the next begins; empty:
// no. Exit 3: nothing was changed, and nothing can be.
constexpr const char* kSyncScript = R"sh(
set -eu
refuse() { echo "$1"; exit 3; }
command -v rsync >/dev/null || refuse "rsync is not installed (Debian: the package rsync)"
[ -d "$1" ] || refuse "$1 is not a folder"
from=$(realpath -- "$1")
to=$(realpath -m -- "$2")
[ "$from" = "$(realpath -ms -- "$1")" ] || refuse "a symbolic link is in the way: $1 is $from"
[ "$to" = "$(realpath -ms -- "$2")" ] || refuse "a symbolic link is in the way: $2 is $to"
[ "$from" != / ] && [ "$to" != / ] || refuse "/ is not synced"
case "$to/" in "$from"/*) refuse "$to lies within $from" ;; esac
case "$from/" in "$to"/*) refuse "$from lies within $to" ;; esac
parent=$(dirname -- "$to")
[ -d "$parent" ] || refuse "$parent is not a folder: $to cannot be made in it"
[ ! -e "$to" ] || [ -d "$to" ] || refuse "$to is not a folder"

as="setpriv --pdeathsig KILL"
if [ "$(id -u)" -eq 0 ]; then
  whose=$to
  [ -e "$to" ] || whose=$parent
  owner=$(stat -c %u -- "$whose")
  if [ "$owner" -ne 0 ]; then
    as="$as --reuid $owner --regid $(stat -c %g -- "$whose") --clear-groups --no-new-privs"
  else
    [ -e "$to" ] || [ ! -k "$parent" ] || refuse "others may make $to as well"
    above=$parent
    while [ "$above" != / ]; do
      case $(stat -c '%u %A' -- "$above") in
        0\ ?????[!w]??[!w]? | 0\ ?????????[tT]) ;;
        *) refuse "others than root may change $above, on the way to $to" ;;
      esac
      above=$(dirname -- "$above")
    done
  fi
fi
if [ -n "$5" ]; then
  exec 9>"$5/sync-$(printf %s "$to" | cksum | tr ' ' -).lock"
  flock -w 10 9 || { echo "another sync of $to is under way"; exit 1; }
fi
remove=
if [ "$3" = yes ]; then
  [ -n "$($as ls -A -- "$from")" ] || refuse "$from is empty: nothing of $to would be left"
  remove=--delete-after
fi
list=$(mktemp)
trap 'rm -f "$list"' EXIT
# 24: what was there is gone by now, of a source that is in use.
as_from() {
  code=0
  $as rsync -aHAX --numeric-ids --checksum "$@" $remove -- "$from/" "$to/" || code=$?
  [ "$code" -eq 0 ] || [ "$code" -eq 24 ] || { echo "rsync ended with $code" >&2; exit 1; }
}
compare() { as_from --dry-run --itemize-changes >"$list"; }
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
as_from
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
  SyncEffector(const Tools& tools, std::string locks)
      : tools_(tools), runs_(tools), locks_(std::move(locks)) {}

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
  // An engine that is killed takes it along: the next one begins anew, or takes it back.
  clients::ChildSpec spec_of(const core::SyncAction& action, Duration limit) const {
    return {.command = {"setpriv", "--pdeathsig", "KILL", "/bin/sh", "-c", kSyncScript, "sync",
                        action.from, action.to, action.remove ? "yes" : "no",
                        action.check_only ? "yes" : "no", locks_},
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
  std::string locks_;  // A folder; empty: none.
};

}  // namespace

std::unique_ptr<ports::Effector> make_sync(const Tools& tools, std::string locks) {
  return std::make_unique<SyncEffector>(tools, std::move(locks));
}

}  // namespace recover::adapters::command
