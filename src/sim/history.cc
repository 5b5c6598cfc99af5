#include "sim/history.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <utility>

#include "core/recovery_table.h"
#include "runtime/loop.h"
#include "runtime/replay.h"
#include "sim/agenda.h"
#include "sim/checker.h"
#include "sim/dice.h"
#include "sim/tape.h"
#include "sim/world.h"

namespace recover::sim {
namespace {

using core::milliseconds;
using core::minutes;
using core::seconds;

// Long enough for the hourly budget to be free again, and for every wait after it.
constexpr Duration kPeaceMax = minutes{100};
constexpr Duration kQuietEvery = seconds{10};
constexpr std::uint64_t kTurnsMax = 400'000;  // Beyond them a history has run away.
constexpr int kTurnsAtOnceMax = 1'000;
constexpr std::int64_t kWallStart = 1'700'000'000'000'000'000;

struct Question {
  core::RecoveryId recovery;
  std::uint64_t hash = 0;
};

class History {
 public:
  History(const Scenario& scenario, std::size_t trace_lines, bool json)
      : scenario_(scenario),
        policy_(make_policy(scenario)),
        versions_{policy_},
        dice_(Random::mix(scenario.seed)),
        wall_dice_(Random::mix(~scenario.seed)),
        checker_(policy_, trace_lines),
        log_(json),
        tape_(checker_, log_),
        world_(policy_, scenario_, agenda_, checker_, dice_,
               [this](core::Event event) { post(std::move(event)); }) {}

  HistoryResult run();

 private:
  void post(core::Event event) {
    if (loop_) loop_->post(std::move(event));
  }
  void begin_engine();
  void end_engine();
  void pump();
  void tend_journal();
  void happen(const Planned& planned);
  void trouble();
  void trouble(Fault fault);
  void storm();
  void reload();
  std::string policy_text() const {
    return runtime::encode(
        runtime::PolicyText{.sources = {}, .boot_id = {}, .offset_ns = version_});
  }
  void jump();
  void person_acts();
  void hear(const core::Notice& notice);
  void answer(const Planned& planned);
  void approve(const Question& question, std::uint64_t hash);
  void make_peace();
  void tell_what_waits();
  bool is_quiet() const;
  core::ServiceIndex any_service() {
    return {dice_.roll(static_cast<std::uint32_t>(policy_.services.size()))};
  }
  core::PlaybookIndex any_playbook() {
    return {dice_.roll(static_cast<std::uint32_t>(policy_.playbooks.size()))};
  }
  runtime::Stamp stamp() const {
    return {now_, kWallStart + now_.time_since_epoch().count() + wall_offset_};
  }

  const Scenario& scenario_;
  core::Policy policy_;  // In force, in the journal as in the engine.
  std::vector<core::Policy> versions_;
  Agenda agenda_;
  Dice dice_;
  Dice wall_dice_;
  Checker checker_;
  Log log_;
  Tape tape_;
  World world_;
  std::unique_ptr<runtime::Loop> loop_;  // None: recoverd is away.
  Instant now_ = Instant{} + seconds{1};
  Instant timer_ = kNever;
  std::int64_t wall_offset_ = 0;
  bool woken_ = false;
  bool degraded_ = false;
  std::optional<std::uint64_t> live_hash_;  // Of the state that must be read back.
  std::vector<Question> questions_;
  std::int64_t version_ = 0;  // Position in versions_.
  std::uint64_t events_ = 0;
  std::uint64_t turns_ = 0;
  Instant peace_until_ = kNever;
  int quiet_ = 0;
  bool over_ = false;
};

// ---- recoverd ----------------------------------------------------------------------------------

void History::begin_engine() {
  auto restored = runtime::restore(
      tape_,
      [this](const runtime::PolicyText& text) {
        policy_ = versions_.at(static_cast<std::size_t>(text.offset_ns));
        version_ = text.offset_ns;
        return Result<core::Policy, std::string>(policy_);
      },
      &log_);
  RECOVER_CHECK(restored.has_value());
  const bool first = !restored->has_value();
  if (!first && live_hash_) {
    checker_.restarted(*live_hash_, (*restored)->engine.state_hash());
  }
  live_hash_.reset();
  core::Engine engine = first ? core::Engine(policy_, now_) : std::move((*restored)->engine);
  runtime::Edges edges;
  edges.journal = &tape_;
  edges.codec = &log_;
  edges.effectors.fill(&world_);
  edges.sources = {&world_};
  edges.now = [this] { return stamp(); };
  edges.wake = [this] { woken_ = true; };
  edges.publish = [this](const core::Notice& notice, runtime::Stamp) { hear(notice); };
  loop_ = std::make_unique<runtime::Loop>(std::move(engine), std::move(edges));
  world_.begin_engine();
  loop_->begin(policy_text());
  checker_.timer_armed(loop_->engine().next_timer());
  timer_ = loop_->engine().next_timer();
  world_.announce();
  post(core::EngineStarted{.first = first});
  checker_.note(now_, first ? "recoverd starts" : "recoverd is back");
}

void History::end_engine() {
  checker_.note(now_, tape_.torn() ? "recoverd ends while it writes" : "recoverd ends");
  events_ += loop_->metrics().events;
  if (checker_.crashed()) live_hash_.reset();
  world_.lose_engine();
  tape_.crash();
  loop_.reset();
  degraded_ = false;
  timer_ = kNever;
  agenda_.add(now_ + dice_.pause(milliseconds{20}, seconds{8}), Happening::Back);
}

void History::pump() {
  for (int turn = 0; turn < kTurnsAtOnceMax && loop_; ++turn) {
    woken_ = false;
    ++turns_;
    // A quiet turn changes nothing, and one that changes something writes: once is enough.
    if (tape_.armed_to_tear() && !live_hash_) live_hash_ = loop_->engine().state_hash();
    timer_ = loop_->turn();
    if (tape_.dead()) {
      if (!tape_.torn()) live_hash_ = loop_->engine().state_hash();
      return end_engine();
    }
    checker_.timer_armed(timer_);
    tend_journal();
    if (!woken_ && timer_ > now_) return;
  }
}

void History::tend_journal() {
  if (!tape_.in_memory() || degraded_) return;
  degraded_ = true;
  post(core::JournalDegraded{.degraded = true});
  agenda_.add(now_ + dice_.pause(seconds{2}, seconds{40}), Happening::JournalBack);
}

// ---- trouble -----------------------------------------------------------------------------------

void History::trouble() {
  // Those that let something else become interesting come more often.
  constexpr std::array kKinds = {
      Fault::Crash,       Fault::Crash,       Fault::Crash,       Fault::Hang,
      Fault::Slow,        Fault::BadConfig,   Fault::BadConfig,   Fault::DiskFull,
      Fault::Storm,       Fault::Storm,       Fault::Probes,      Fault::Probes,
      Fault::EngineCrash, Fault::EngineCrash, Fault::EngineCrash, Fault::JournalFull,
      Fault::FsyncError,  Fault::WallClock,   Fault::Operators,   Fault::Operators,
      Fault::Operators,   Fault::Operators,   Fault::Patterns,    Fault::Patterns,
      Fault::Reload};
  const Fault fault = kKinds[dice_.roll(kKinds.size())];
  if (!scenario_.has(fault) || world_.at_peace()) return;
  checker_.note(now_, "trouble: " + std::string(to_string(fault)));
  trouble(fault);
}

void History::storm() {
  // The machine's, or the network's, which ends by itself.
  const Duration outage = dice_.pause(seconds{30}, seconds{70});
  const bool network = dice_.percent(60);
  for (std::uint32_t service = 0; service < policy_.services.size(); ++service) {
    if (!dice_.percent(80)) continue;
    if (network) {
      world_.cut_off(service, outage);
    } else {
      world_.crash(service);
    }
  }
}

void History::reload() {
  if (!loop_) return;
  version_ = static_cast<std::int64_t>(versions_.size());
  versions_.push_back(reloaded(versions_.front(), scenario_, static_cast<std::uint32_t>(version_)));
  pump();
  if (!loop_) {
    // It ended over what waited before.
    return;
  }
  if (tape_.armed_to_tear()) live_hash_ = loop_->engine().state_hash();
  if (checker_.books().in_effect() > 0) checker_.goals().reach(Goal::PolicyReloaded);
  policy_ = versions_.back();
  loop_->replace_policy(policy_, policy_text());
  if (tape_.dead()) {
    if (!tape_.torn()) live_hash_ = loop_->engine().state_hash();
    return end_engine();
  }
  tend_journal();
}

// With chance of its own, so that a history without jumps is the same in all else.
void History::jump() {
  const bool back = wall_dice_.percent(50);
  const std::int64_t by = wall_dice_.pause(seconds{1}, core::hours{30}).count();
  wall_offset_ += back ? -by : by;
  if (back) checker_.goals().reach(Goal::ClockJumpedBack);
}

void History::trouble(Fault fault) {
  if (fault == Fault::WallClock) return jump();
  const core::ServiceIndex service = any_service();
  switch (fault) {
    case Fault::Crash:
      if (dice_.percent(20)) post(core::WatchdogExpired{service, 0});
      return world_.crash(service.value);
    case Fault::Hang: return world_.hang(service.value);
    case Fault::Slow: return world_.slow(service.value);
    case Fault::BadConfig: return world_.corrupt(service.value);
    case Fault::DiskFull: return world_.fill_disk();
    case Fault::Storm: return storm();
    case Fault::Probes: return world_.flap(service.value, dice_.pause(seconds{10}, seconds{60}));
    case Fault::Effects:
    case Fault::Results: return;  // Rolled for each command.
    case Fault::EngineCrash: {
      if (!loop_) return;
      const std::uint32_t how = dice_.roll(4);
      if (how == 0) {
        live_hash_ = loop_->engine().state_hash();
        return end_engine();
      }
      world_.cut_after(how == 1 ? 0 : dice_.roll(3));
      return tape_.cut_next(how == 1 ? Tape::Cut::Torn : Tape::Cut::Written);
    }
    case Fault::JournalFull: return tape_.fill();
    case Fault::FsyncError:
      tape_.break_fsync();
      return agenda_.add(now_ + dice_.pause(seconds{5}, seconds{60}), Happening::JournalBack);
    case Fault::WallClock: return jump();
    case Fault::Operators: return person_acts();
    case Fault::Patterns:
      return post(
          core::PatternSeen{{dice_.roll(static_cast<std::uint32_t>(policy_.patterns.size()))},
                            dice_.percent(85) ? std::optional(service) : std::nullopt,
                            "error: out of something"});
    case Fault::Reload: return reload();
  }
}

void History::person_acts() {
  const core::ServiceIndex service = any_service();
  const std::string who = "uid:0";
  switch (dice_.roll(10)) {
    case 0:
      post(core::OperatorKillSwitch{.on = true, .actor = who});
      agenda_.add(now_ + dice_.pause(seconds{2}, seconds{40}), Happening::KillOff);
      return;
    case 1:
      return post(core::OperatorMaintenance{
          .service = dice_.percent(70) ? std::optional(service) : std::nullopt,
          .start = true,
          .until = now_ + dice_.pause(seconds{5}, seconds{60}),
          .actor = who});
    case 2:
      return post(core::OperatorSetMode{
          .service = dice_.percent(50) ? std::optional(service) : std::nullopt,
          .mode = static_cast<core::Mode>(dice_.roll(4)),
          .actor = who});
    case 3:
    case 4: {
      const auto book = dice_.percent(60) ? std::optional(any_playbook()) : std::nullopt;
      post(core::OperatorRecover{.service = service, .playbook = book, .actor = who});
      if (dice_.percent(30)) post(core::OperatorRecover{service, book, who});
      return;
    }
    case 5:
      return post(
          core::OperatorResetBreaker{.service = service, .playbook = any_playbook(), .actor = who});
    case 6:
      return post(core::OperatorCheckpoint{
          .service = service, .name = "by-hand", .restore = dice_.percent(50), .actor = who});
    case 7:
      if (questions_.empty()) return;
      return post(core::OperatorReject{questions_.back().recovery, who, "no"});
    default:
      return post(core::OperatorService{.service = service,
                                        .request = static_cast<core::ServiceRequest>(dice_.roll(6)),
                                        .actor = who});
  }
}

// ---- people ------------------------------------------------------------------------------------

void History::hear(const core::Notice& notice) {
  if (notice.type != "recovery:approval_required") return;
  const std::size_t at = notice.message.rfind("; plan ");
  if (at == std::string::npos) return;
  Question question{.recovery = notice.recovery};
  const char* from = notice.message.data() + at + 7;
  std::from_chars(from, notice.message.data() + notice.message.size(), question.hash);
  questions_.push_back(question);
  const std::uint32_t how = dice_.roll(10);
  if (how == 0) return;  // Nobody hears of it.
  const Duration pause = how == 1 ? Duration(seconds{70}) : dice_.pause(seconds{1}, seconds{20});
  agenda_.add(now_ + pause, Happening::Person, how, 0, questions_.size() - 1);
}

void History::approve(const Question& question, std::uint64_t hash) {
  if (checker_.books().kill_switch && loop_) checker_.goals().reach(Goal::ApprovalAfterKillSwitch);
  post(core::OperatorApprove{
      .recovery = question.recovery, .plan_hash = hash, .actor = "uid:7", .comment = {}});
}

void History::answer(const Planned& planned) {
  const Question question = questions_[planned.c];
  if (world_.at_peace() || !scenario_.has(Fault::Operators))
    return approve(question, question.hash);
  if (planned.a == 2) return approve(question, question.hash + 1);
  if (planned.a == 3) {
    post(core::OperatorKillSwitch{.on = true, .actor = "uid:0"});
    agenda_.add(now_ + dice_.pause(seconds{2}, seconds{90}), Happening::KillOff);
    pump();
  }
  if (planned.a == 4) {
    return post(
        core::OperatorReject{.recovery = question.recovery, .actor = "uid:7", .comment = {}});
  }
  approve(question, question.hash);
  if (planned.a == 5) approve(question, question.hash);  // An approval is for once.
}

// ---- the end -----------------------------------------------------------------------------------

void History::make_peace() {
  checker_.note(now_, "faults are off");
  world_.make_peace();
  peace_until_ = now_ + kPeaceMax;
  tape_.heal();
  const std::string who = "uid:0";
  if (degraded_) post(core::JournalDegraded{.degraded = false});
  degraded_ = false;
  post(core::OperatorKillSwitch{.on = false, .actor = who});
  post(core::OperatorMaintenance{
      .service = std::nullopt, .start = false, .until = kNever, .actor = who});
  for (std::uint32_t service = 0; service < policy_.services.size(); ++service) {
    post(core::OperatorMaintenance{
        .service = core::ServiceIndex{service}, .start = false, .until = kNever, .actor = who});
    post(core::OperatorService{
        .service = {service}, .request = core::ServiceRequest::Release, .actor = who});
  }
  agenda_.add(now_ + kQuietEvery, Happening::Quiet);
}

bool History::is_quiet() const {
  Invariants liveness;
  add_liveness_invariants(liveness, policy_);
  const WorldTruth truth = world_.truth();
  const Books& books = checker_.books();
  if (!books.commands.empty() || !loop_) return false;
  const bool waiting = std::ranges::any_of(books.recoveries, [](const auto& each) {
    return each.second.state == core::RecoveryState::AwaitingApproval;
  });
  // A breaker in front of what is well is about to close.
  for (std::size_t index = 0; index < books.services.size(); ++index) {
    const bool well =
        truth.services[index].well && books.open_incident_of(static_cast<int>(index)) == nullptr;
    if (books.services[index].tripped && well) return false;
  }
  return !waiting && std::ranges::all_of(liveness, [&](const auto& each) {
    each->on_end(truth, books);
    return !each->violation();
  });
}

void History::happen(const Planned& planned) {
  switch (planned.what) {
    case Happening::Trouble: return trouble();
    case Happening::Person: return answer(planned);
    case Happening::Back:
      // It may have been started by the end of the faults already.
      if (!loop_) begin_engine();
      return;
    case Happening::JournalBack:
      tape_.heal();
      if (degraded_) post(core::JournalDegraded{.degraded = false});
      degraded_ = false;
      return;
    case Happening::KillOff: return post(core::OperatorKillSwitch{.on = false, .actor = "uid:0"});
    case Happening::Peace:
      if (!loop_) begin_engine();
      pump();
      // Nothing that was armed before may go off later.
      if (!loop_) begin_engine();
      tape_.cut_next(Tape::Cut::None);
      world_.uncut();
      return make_peace();
    case Happening::Quiet:
      quiet_ = is_quiet() ? quiet_ + 1 : 0;
      over_ = quiet_ == 2 || now_ >= peace_until_;
      if (!over_) agenda_.add(now_ + kQuietEvery, Happening::Quiet);
      return;
    case Happening::Look:
    case Happening::Answer:
    case Happening::Ready:
    case Happening::Exit:
    case Happening::Effect:
    case Happening::Result:
    case Happening::Duplicate: return world_.happen(planned);
  }
}

// For people only: the verdict is the checkers'.
void History::tell_what_waits() {
  if (!loop_) return;
  for (const auto& [id, recovery] : loop_->engine().state().recoveries) {
    if (core::is_over(recovery.state)) continue;
    std::string line = "waiting: r" + std::to_string(id.value) + " of s" +
                       std::to_string(recovery.service.value) + ", " +
                       std::string(core::to_string(recovery.state));
    for (const core::Reason& reason : recovery.reasons) {
      if (reason.verdict == core::Verdict::Wait) line += ", " + reason.detail;
    }
    checker_.note(now_, std::move(line));
  }
}

HistoryResult History::run() {
  const std::uint32_t most = std::max(scenario_.troubles_max, 1U);
  const std::uint32_t troubles = std::min(dice_.between(4, 28), most);
  for (std::uint32_t each = 0; each < troubles; ++each) {
    agenda_.add(now_ + dice_.pause(seconds{2}, scenario_.troubled_for), Happening::Trouble);
  }
  agenda_.add(now_ + scenario_.troubled_for, Happening::Peace);
  world_.set_now(now_);
  begin_engine();
  pump();
  while (!over_ && !checker_.violation() && turns_ < kTurnsMax) {
    now_ = std::max(now_, std::min(agenda_.next(), timer_));
    world_.set_now(now_);
    while (agenda_.next() <= now_ && !over_) happen(agenda_.take());
    if (!over_) pump();
  }
  if (loop_) events_ += loop_->metrics().events;
  if (!checker_.violation()) checker_.end(world_.truth());
  if (checker_.violation()) tell_what_waits();
  HistoryResult result;
  result.violation = checker_.violation();
  if (!result.violation && turns_ >= kTurnsMax) {
    result.violation = Violation{"L01", "it never becomes quiet"};
  }
  result.hash = checker_.hash();
  result.hash_without_wall = checker_.hash_without_wall();
  result.events = events_;
  result.entries = checker_.books().entries;
  result.first_plan = checker_.first_plan();
  result.goals = checker_.goals();
  result.trace.assign(checker_.trace().begin(), checker_.trace().end());
  return result;
}

}  // namespace

HistoryResult run_history(const Scenario& scenario, std::size_t trace_lines) {
  History history(scenario, trace_lines, false);
  return history.run();
}

HistoryResult run_history_in_json(const Scenario& scenario) {
  History history(scenario, 0, true);
  return history.run();
}

}  // namespace recover::sim
