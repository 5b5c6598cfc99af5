#include "core/plan.h"

#include <algorithm>

#include "base/overloaded.h"
#include "core/learning.h"
#include "core/turn.h"

namespace recover::core {
namespace {

constexpr std::string_view kTriedBefore = "already tried in this incident";

template <class T>
bool contains(const std::vector<T>& list, const T& value) {
  return std::ranges::find(list, value) != list.end();
}

bool pattern_named(const Policy& policy, const std::string& name, const Incident& incident) {
  if (!incident.pattern || incident.pattern->value >= policy.patterns.size()) return false;
  const PatternPolicy& pattern = policy.patterns[incident.pattern->value];
  return pattern.id == name || pattern.category == name;
}

double match(const Policy& policy, const TriggerPolicy& trigger, const Incident& incident) {
  if (trigger.failure && *trigger.failure != incident.failure) return 0.0;
  if (trigger.symptom && !contains(incident.symptoms, *trigger.symptom)) return 0.0;
  if (!trigger.pattern.empty() && !pattern_named(policy, trigger.pattern, incident)) return 0.0;
  if (trigger.symptom || !trigger.pattern.empty()) return 1.0;
  return trigger.failure ? 0.8 : 0.0;
}

class Hasher {
 public:
  void add(std::string_view bytes) {
    add(bytes.size());
    hash_ = fnv1a(bytes, hash_);
  }
  void add(std::uint64_t number) {
    for (int shift = 0; shift < 64; shift += 8) {
      const char byte = static_cast<char>(number >> static_cast<unsigned>(shift));
      hash_ = fnv1a({&byte, 1}, hash_);
    }
  }
  std::uint64_t value() const { return hash_; }

 private:
  std::uint64_t hash_ = kFnvBasis;
};

std::uint64_t number(Duration duration) {
  return static_cast<std::uint64_t>(duration.count());
}

void add_list(Hasher& hash, const std::vector<std::string>& list) {
  hash.add(list.size());
  for (const std::string& item : list) hash.add(item);
}

void add_arguments(Hasher& hash, const ActionSpec& arguments) {
  hash.add(arguments.index());
  std::visit(base::Overloaded{
                 [](const NoArguments&) {},
                 [&](const SignalAction& a) { hash.add(static_cast<std::uint64_t>(a.signal)); },
                 [&](const ExecAction& a) { add_list(hash, a.command); },
                 [&](const HttpAction& a) { hash.add(a.method); },
                 [&](const SqlAction& a) { hash.add(a.statement); },
                 [&](const KillLongQueriesAction& a) {
                   hash.add(number(a.longer_than));
                   hash.add(a.max);
                   hash.add(a.blockers_only ? 1U : 0U);
                 },
                 [&](const CleanFilesAction& a) {
                   add_list(hash, a.roots);
                   add_list(hash, a.globs);
                   hash.add(number(a.older_than));
                   hash.add(a.larger_than);
                   hash.add(a.max_files);
                 },
                 [&](const CheckpointAction& a) { hash.add(a.name); },
                 [&](const WaitAction& a) { hash.add(number(a.duration)); },
                 [&](const ApproveAction& a) { hash.add(a.question); },
                 [&](const NotifyAction& a) { hash.add(a.message); },
                 [&](const ScaleAction& a) {
                   hash.add(static_cast<std::uint64_t>(static_cast<std::int64_t>(a.by)));
                 },
                 [&](const RedisAction& a) { add_list(hash, a.command); },
                 [&](const RotateLogsAction& a) {
                   add_list(hash, a.roots);
                   add_list(hash, a.globs);
                   hash.add(a.larger_than);
                   hash.add(a.keep);
                   hash.add(a.max_files);
                   hash.add(a.truncate ? 1U : 0U);
                 },
                 [&](const AdjustLimitsAction& a) {
                   hash.add(std::to_string(a.by));
                   hash.add(a.memory_max.value_or(0));
                   hash.add(std::to_string(a.cpu_max.value_or(0)));
                   hash.add(a.pids_max.value_or(0));
                   hash.add(a.reset ? 1U : 0U);
                 },
                 [&](const GitRestoreAction& a) {
                   hash.add(a.path);
                   hash.add(a.ref);
                   add_list(hash, a.paths);
                 },
                 [&](const RestoreBackupAction& a) {
                   hash.add(a.backup);
                   hash.add(a.snapshot);
                   add_list(hash, a.paths);
                   hash.add(a.exact ? 1U : 0U);
                   hash.add(a.dry_run ? 1U : 0U);
                   hash.add(a.points);
                 },
                 [&](const SyncAction& a) {
                   hash.add(a.from);
                   hash.add(a.to);
                   hash.add(a.remove ? 1U : 0U);
                   hash.add(a.check_only ? 1U : 0U);
                 },
             },
             arguments);
}

void add_steps(Hasher& hash, const Policy& policy, const std::vector<StepPolicy>& steps) {
  hash.add(steps.size());
  for (const StepPolicy& step : steps) {
    hash.add(to_string(step.action));
    add_arguments(hash, step.with);
    hash.add(step.when.text());
    hash.add(step.target ? policy.service(*step.target).name : "");
    hash.add(step.undo ? to_string(*step.undo) : "");
    add_arguments(hash, step.undo_with);
  }
}

bool has_failover(const PlaybookPolicy& playbook) {
  return std::ranges::any_of(
      playbook.steps, [](const StepPolicy& step) { return step.action == ActionKind::Failover; });
}

bool lacks_standby(const Policy& policy, const PlaybookPolicy& playbook, ServiceIndex service) {
  return std::ranges::any_of(playbook.steps, [&](const StepPolicy& step) {
    return step.action == ActionKind::Failover && !successor_of(policy, step, service);
  });
}

// Why a playbook does not come into question, whatever it scores; empty: it does.
std::string refusal(const Policy& policy, const State& state, const Incident& incident,
                    PlaybookIndex index, double fits) {
  const PlaybookHealth& health = state.playbooks.at(index.value);
  if (fits == 0.0) return "no trigger matches";
  if (lacks_standby(policy, policy.playbook(index), incident.service)) {
    return "the service has no standby";
  }
  const std::string& service = policy.service(incident.service).name;
  const std::string reset = text({"`recoverctl breaker reset ", service});
  const std::string_view id = policy.playbook(index).id;
  if (health.breaker_open) {
    return text({"it failed for several services, its breaker is open; ", reset, " --playbook ", id,
                 "` closes it"});
  }
  if (is_open_for(health, incident.service)) {
    return text(
        {"it keeps failing for ", service, ", its breaker for it is open; ", reset, "` closes it"});
  }
  if (health.demoted) {
    return text({"it was demoted; ", reset, " --playbook ", id, "` puts it back"});
  }
  if (contains(incident.refused, index)) return "refused by a gate before";
  if (contains(incident.tried, index)) return std::string(kTriedBefore);
  return {};
}

std::string_view playbook_of(const PatternAction& action) {
  return action.playbook.empty() ? action.type : action.playbook;
}

const std::vector<PatternAction>& recovery_of_pattern(const Policy& policy,
                                                      const Incident& incident) {
  static const std::vector<PatternAction> kNone;
  if (!incident.pattern || incident.pattern->value >= policy.patterns.size()) return kNone;
  return policy.patterns[incident.pattern->value].recovery;
}

// In order of preference: what the pattern names, the most urgent first; then the service's own.
std::vector<PlaybookIndex> candidates_of(const Policy& policy, const Incident& incident) {
  std::vector<PatternAction> named = recovery_of_pattern(policy, incident);
  std::ranges::stable_sort(named, {}, &PatternAction::priority);
  std::vector<PlaybookIndex> all;
  for (const PatternAction& action : named) {
    const auto index = policy.find_playbook(playbook_of(action));
    if (index && !contains(all, *index)) all.push_back(*index);
  }
  for (const PlaybookIndex index : policy.service(incident.service).playbooks) {
    if (!contains(all, index)) all.push_back(index);
  }
  return all;
}

// A playbook that comes into question.
struct Candidate {
  PlaybookIndex playbook;
  double fits = 0.0;
  double learned = 0.5;
  double score = 0.0;
};

Candidate judged(const Policy& policy, const State& state, const Incident& incident,
                 PlaybookIndex index, double fits) {
  const auto known = state.learned.find(signature_of(incident, index));
  const Outcomes outcomes = known == state.learned.end() ? Outcomes{} : known->second;
  const double learned = learned_factor(policy.learning, outcomes);
  return {.playbook = index, .fits = fits, .learned = learned, .score = fits * learned};
}

std::string shown_score(const Candidate& candidate) {
  return text({"score ", shown(candidate.score), " (its trigger fits ", shown(candidate.fits),
               ", its record here counts ", shown(candidate.learned), ")"});
}

// What a reader of `explain` is told of one that came second.
std::string why_not(const Policy& policy, const Candidate& other, const Candidate& best) {
  const std::string& chosen = policy.playbook(best.playbook).id;
  if (other.score < best.score) {
    return text({"fits less well than ", chosen, ": ", shown_score(other)});
  }
  return text({"fits as well as ", chosen,
               ", which comes first in the order of preference: ", shown_score(other)});
}

void refuse(Choice& choice, const PlaybookPolicy& playbook, std::string_view why) {
  add_reason(choice.reasons,
             {Rule::PlaybookRefusal, Verdict::Refuse, text({playbook.id, ": ", why})});
}

}  // namespace

double match(const Policy& policy, const PlaybookPolicy& playbook, const Incident& incident) {
  double best = 0.0;
  for (const TriggerPolicy& trigger : playbook.triggers) {
    best = std::max(best, match(policy, trigger, incident));
  }
  const bool asked = std::ranges::any_of(
      recovery_of_pattern(policy, incident),
      [&](const PatternAction& action) { return playbook_of(action) == playbook.id; });
  return asked ? 1.0 : best;
}

bool is_usable(const Policy& policy, const State& state, PlaybookIndex playbook,
               ServiceIndex service) {
  const PlaybookHealth& health = state.playbooks.at(playbook.value);
  return !health.demoted && !is_open_for(health, service) &&
         !lacks_standby(policy, policy.playbook(playbook), service);
}

Choice choose_playbook(const Policy& policy, const State& state, const Incident& incident) {
  Choice choice;
  std::optional<PlaybookIndex> again;
  std::vector<Candidate> fitting;
  for (const PlaybookIndex index : candidates_of(policy, incident)) {
    const PlaybookPolicy& playbook = policy.playbook(index);
    const double fits = match(policy, playbook, incident);
    const std::string why = refusal(policy, state, incident, index, fits);
    if (why.empty()) {
      fitting.push_back(judged(policy, state, incident, index, fits));
      continue;
    }
    refuse(choice, playbook, why);
    if (fits > 0.0 && choice.obstacle.empty()) choice.obstacle = text({playbook.id, ": ", why});
    if (why == kTriedBefore && !again) again = index;
  }
  const auto best = std::ranges::max_element(fitting, {}, &Candidate::score);  // The first of them.
  if (best != fitting.end()) {
    choice.score = best->score;
    choice.playbook = best->playbook;
    for (const Candidate& other : fitting) {
      if (other.playbook == best->playbook) continue;
      refuse(choice, policy.playbook(other.playbook), why_not(policy, other, *best));
    }
    add_reason(choice.reasons,
               {Rule::PlaybookChoice, Verdict::Pass,
                text({policy.playbook(best->playbook).id, " fits best: ", shown_score(*best)})});
  } else if (again) {
    choice.playbook = again;
    add_reason(choice.reasons,
               {Rule::PlaybookChoice, Verdict::Pass,
                text({policy.playbook(*again).id, " again: every playbook that fits was tried"})});
  }
  return choice;
}

std::optional<ServiceIndex> successor_of(const Policy& policy, const StepPolicy& step,
                                         ServiceIndex service) {
  const std::optional<ServiceIndex> to =
      step.target ? step.target : policy.service(service).standby;
  return to == service ? std::nullopt : to;
}

std::uint64_t plan_hash(const Policy& policy, PlaybookIndex playbook, ServiceIndex service) {
  const PlaybookPolicy& book = policy.playbook(playbook);
  Hasher hash;
  hash.add(book.id);
  hash.add(policy.service(service).name);
  hash.add(book.checkpoint_required ? 1U : 0U);
  const auto& standby = policy.service(service).standby;
  if (has_failover(book)) hash.add(standby ? policy.service(*standby).name : "");
  add_steps(hash, policy, book.steps);
  add_steps(hash, policy, book.rollback);
  return hash.value();
}

std::uint64_t fnv1a(std::string_view bytes, std::uint64_t hash) noexcept {
  constexpr std::uint64_t kPrime = 1'099'511'628'211ULL;
  for (const char byte : bytes) {
    hash ^= static_cast<unsigned char>(byte);
    hash *= kPrime;
  }
  return hash;
}

}  // namespace recover::core
