#include "sim/run.h"

#include <algorithm>

#include "core/recovery_table.h"

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

}  // namespace

Run::Run(const Scenario& scenario, std::size_t trace_lines, bool json)
    : scenario_(scenario),
      policy_(make_policy(scenario)),
      versions_{policy_},
      dice_(Random::mix(scenario.seed)),
      wall_dice_(Random::mix(~scenario.seed)),
      checker_(policy_, trace_lines),
      log_(json),
      tape_(checker_, log_),
      world_(policy_, scenario_, agenda_, checker_, dice_,
             [this](core::Event&& event) { post(std::move(event)); }),
      people_(policy_, scenario_, agenda_, checker_, dice_,
              {.post = [this](core::Event&& event) { post(std::move(event)); },
               .let_decide = [this] { pump(); },
               .is_there = [this] { return loop_ != nullptr; }}) {}

runtime::Stamp Run::stamp() const {
  return {now_, kWallStart + now_.time_since_epoch().count() + wall_offset_};
}

// ---- recoverd ----------------------------------------------------------------------------------

void Run::begin_engine() {
  auto restored = runtime::restore(
      tape_,
      [this](const runtime::PolicyText& text) {
        if (version_ != text.offset_ns) {
          version_ = text.offset_ns;
          policy_ = versions_.at(static_cast<std::size_t>(version_));
        }
        return Result<std::shared_ptr<const core::Policy>, std::string>(
            std::make_shared<const core::Policy>(policy_));
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
  edges.publish = [this](const core::Notice& notice, runtime::Stamp) {
    people_.hear(notice, now_);
  };
  loop_ = std::make_unique<runtime::Loop>(std::move(engine), std::move(edges));
  world_.begin_engine();
  loop_->begin(policy_text());
  checker_.timer_armed(loop_->engine().next_timer());
  timer_ = loop_->engine().next_timer();
  world_.announce();
  post(core::EngineStarted{.first = first});
  checker_.note(now_, first ? "recoverd starts" : "recoverd is back");
}

void Run::end_engine() {
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

void Run::pump() {
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

void Run::tend_journal() {
  if (!tape_.in_memory() || degraded_) return;
  degraded_ = true;
  post(core::JournalDegraded{.degraded = true});
  agenda_.add(now_ + dice_.pause(seconds{2}, seconds{40}), Happening::JournalBack);
}

void Run::mend_journal() {
  tape_.heal();
  if (degraded_) post(core::JournalDegraded{.degraded = false});
  degraded_ = false;
}

// ---- the end -----------------------------------------------------------------------------------

void Run::make_peace() {
  checker_.note(now_, "faults are off");
  world_.make_peace();
  peace_until_ = now_ + kPeaceMax;
  mend_journal();
  const std::string who = "uid:0";
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

bool Run::is_quiet() const {
  const Books& books = checker_.books();
  if (!books.commands.empty() || !loop_) return false;
  const bool waiting = std::ranges::any_of(books.active, [&books](std::uint64_t id) {
    const BookRecovery& recovery = books.recoveries.at(id);
    return recovery.state == core::RecoveryState::AwaitingApproval || recovery.in_effect();
  });
  if (waiting) return false;
  const WorldTruth truth = world_.truth();
  // A breaker in front of what is well is about to close.
  for (std::size_t index = 0; index < books.services.size(); ++index) {
    const bool well =
        truth.services[index].well && books.open_incident_of(static_cast<int>(index)) == nullptr;
    if (books.services[index].tripped && well) return false;
  }
  Invariants liveness;
  add_liveness_invariants(liveness, policy_);
  return std::ranges::all_of(liveness, [&](const auto& each) {
    each->on_end(truth, books);
    return !each->violation();
  });
}

void Run::happen(const Planned& planned) {
  switch (planned.what) {
    case Happening::Trouble: return trouble();
    case Happening::Person: return people_.answer(planned, now_, world_.at_peace());
    case Happening::Back:
      // It may have been started by the end of the faults already.
      if (!loop_) begin_engine();
      return;
    case Happening::JournalBack: return mend_journal();
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
void Run::tell_what_waits() {
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

HistoryResult Run::run() {
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
    if (!over_ && (woken_ || timer_ <= now_)) pump();
  }
  if (loop_) events_ += loop_->metrics().events;
  if (!checker_.violation()) checker_.end(world_.truth());
  if (checker_.violation()) tell_what_waits();
  return result();
}

HistoryResult Run::result() const {
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

}  // namespace recover::sim
