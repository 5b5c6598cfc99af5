#include "config/lint.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/duration_text.h"
#include "config/action_tables.h"
#include "config/near_miss.h"

namespace recover::config {
namespace {

bool runs_unattended(core::Mode mode) {
  return mode == core::Mode::Automatic || mode == core::Mode::AutomaticLimited;
}

// Whether the step may change what nothing brings back.
bool destroys(const StepDraft& step) {
  const auto* restore = std::get_if<core::RestoreBackupAction>(&step.with);
  const auto* sync = std::get_if<core::SyncAction>(&step.with);
  const bool looks_only =
      (restore != nullptr && restore->dry_run) || (sync != nullptr && sync->check_only);
  return is_destructive(step.action) && !looks_only;
}

void lint_step(Reader& reader, const StepDraft& step) {
  const std::string name = "the step `" + step.name + "` ";
  if (!step.timeout_given && !is_waiting(step.action)) {
    reader.mistake(step.place, name + "needs a `timeout`");
  }
  if (destroys(step) && !step.undo && !step.irreversible) {
    reader.mistake(step.place, name + "is destructive (" +
                                   std::string(core::to_string(step.action)) +
                                   "): it needs `undo` or `irreversible: true`");
  }
}

// Finds the cycles of the services' dependencies, depth first, without recursion.
class CycleSearch {
 public:
  CycleSearch(Reader& reader, const std::vector<ServiceDraft>& services)
      : reader_(reader), services_(services), state_(services.size(), State::New) {}

  void run() {
    for (std::size_t i = 0; i < services_.size(); ++i) {
      if (state_[i] == State::New) visit(i);
    }
  }

 private:
  enum class State : std::uint8_t { New, Open, Done };
  struct Frame {
    std::size_t service = 0;
    std::size_t next = 0;  // Dependency to look at next.
  };

  void visit(std::size_t root) {
    path_ = {{root, 0}};
    state_[root] = State::Open;
    while (!path_.empty()) {
      Frame& top = path_.back();
      const auto& dependencies = services_[top.service].depends_on_named;
      if (top.next == dependencies.size()) {
        state_[top.service] = State::Done;
        path_.pop_back();
        continue;
      }
      follow(dependencies[top.next++]);
    }
  }

  void follow(const Named& dependency) {
    const auto found = std::ranges::find(services_, dependency.text, &ServiceDraft::name);
    if (found == services_.end()) return;
    const auto index = static_cast<std::size_t>(found - services_.begin());
    if (state_[index] == State::Open) report(index, dependency.place);
    if (state_[index] != State::New) return;
    state_[index] = State::Open;
    path_.push_back({index, 0});
  }

  void report(std::size_t first, Place place) {
    std::string cycle;
    bool inside = false;
    for (const Frame& frame : path_) {
      inside = inside || frame.service == first;
      if (inside) cycle += services_[frame.service].name + " → ";
    }
    reader_.mistake(place, "services depend on each other: " + cycle + services_[first].name);
  }

  Reader& reader_;
  const std::vector<ServiceDraft>& services_;
  std::vector<State> state_;
  std::vector<Frame> path_;
};

}  // namespace

void lint_playbook(Reader& reader, const PlaybookDraft& playbook) {
  for (const StepDraft& step : playbook.step_drafts) lint_step(reader, step);
  if (playbook.within_given && playbook.validation.stable_for > *playbook.within_given) {
    reader.mistake(playbook.place, "the playbook `" + playbook.id +
                                       "` can never be validated: `stable_for` (" +
                                       base::format_duration(playbook.validation.stable_for) +
                                       ") is longer than `within` (" +
                                       base::format_duration(*playbook.within_given) + ")");
  }
}

void lint_validation(Reader& reader, const Draft& draft, const core::Policy& policy) {
  for (std::size_t i = 0; i < draft.playbook_drafts.size(); ++i) {
    const PlaybookDraft& playbook = draft.playbook_drafts[i];
    if (!playbook.validation.success_criteria.empty()) continue;
    const auto user = std::ranges::find_if(policy.services, [&](const core::ServicePolicy& each) {
      const core::PlaybookIndex index{static_cast<std::uint32_t>(i)};
      return runs_unattended(each.mode ? std::min(*each.mode, policy.recovery.mode)
                                       : policy.recovery.mode) &&
             std::ranges::find(each.playbooks, index) != each.playbooks.end();
    });
    if (user == policy.services.end()) continue;
    reader.mistake(playbook.place, "the playbook `" + playbook.id + "` may run unattended for `" +
                                       user->name +
                                       "`: it needs `validation` with `success_criteria`");
  }
}

void lint_groups(Reader& reader, const Draft& draft) {
  if (reader.lost()) return;
  std::vector<std::string_view> known;
  for (const ServiceDraft& service : draft.service_drafts) {
    if (!service.group.empty()) known.push_back(service.group);
  }
  for (const Named& group : draft.groups_named) {
    if (std::ranges::find(known, group.text) != known.end()) continue;
    reader.mistake(group.place, "no service is in the group `" + group.text + "`" +
                                    did_you_mean(group.text, known));
  }
}

void lint_dependencies(Reader& reader, const Draft& draft) {
  CycleSearch(reader, draft.service_drafts).run();
}

}  // namespace recover::config
