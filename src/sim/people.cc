#include "sim/people.h"

#include <charconv>
#include <utility>

namespace recover::sim {
namespace {

using core::seconds;

}  // namespace

// NOLINTNEXTLINE(readability-function-size): what people see and use, each named where it is made.
People::People(const core::Policy& policy, const Scenario& scenario, Agenda& agenda,
               Checker& checker, Dice& dice, Reach reach)
    : policy_(policy),
      scenario_(scenario),
      agenda_(agenda),
      checker_(checker),
      dice_(dice),
      reach_(std::move(reach)) {}

void People::act(Instant now) {
  const core::ServiceIndex service = any_service();
  const std::string who = "uid:0";
  switch (dice_.roll(10)) {
    case 0:
      reach_.post(core::OperatorKillSwitch{.on = true, .actor = who});
      agenda_.add(now + dice_.pause(seconds{2}, seconds{40}), Happening::KillOff);
      return;
    case 1:
      return reach_.post(core::OperatorMaintenance{
          .service = dice_.percent(70) ? std::optional(service) : std::nullopt,
          .start = true,
          .until = now + dice_.pause(seconds{5}, seconds{60}),
          .actor = who});
    case 2:
      return reach_.post(core::OperatorSetMode{
          .service = dice_.percent(50) ? std::optional(service) : std::nullopt,
          .mode = static_cast<core::Mode>(dice_.roll(4)),
          .actor = who});
    case 3:
    case 4: {
      const auto book = dice_.percent(60) ? std::optional(any_playbook()) : std::nullopt;
      reach_.post(core::OperatorRecover{.service = service, .playbook = book, .actor = who});
      if (dice_.percent(30)) reach_.post(core::OperatorRecover{service, book, who});
      return;
    }
    case 5:
      return reach_.post(
          core::OperatorResetBreaker{.service = service, .playbook = any_playbook(), .actor = who});
    case 6:
      return reach_.post(core::OperatorCheckpoint{
          .service = service, .name = "by-hand", .restore = dice_.percent(50), .actor = who});
    case 7:
      if (questions_.empty()) return;
      return reach_.post(core::OperatorReject{questions_.back().recovery, who, "no"});
    default:
      return reach_.post(
          core::OperatorService{.service = service,
                                .request = static_cast<core::ServiceRequest>(dice_.roll(6)),
                                .actor = who});
  }
}

void People::hear(const core::Notice& notice, Instant now) {
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
  agenda_.add(now + pause, Happening::Person, how, 0, questions_.size() - 1);
}

void People::approve(const Question& question, std::uint64_t hash) {
  if (checker_.books().kill_switch && reach_.is_there())
    checker_.goals().reach(Goal::ApprovalAfterKillSwitch);
  reach_.post(core::OperatorApprove{
      .recovery = question.recovery, .plan_hash = hash, .actor = "uid:7", .comment = {}});
}

void People::answer(const Planned& planned, Instant now, bool peace) {
  const Question question = questions_[planned.c];
  if (peace || !scenario_.has(Fault::Operators)) return approve(question, question.hash);
  if (planned.a == 2) return approve(question, question.hash + 1);
  if (planned.a == 3) {
    reach_.post(core::OperatorKillSwitch{.on = true, .actor = "uid:0"});
    agenda_.add(now + dice_.pause(seconds{2}, seconds{90}), Happening::KillOff);
    reach_.let_decide();
  }
  if (planned.a == 4) {
    return reach_.post(
        core::OperatorReject{.recovery = question.recovery, .actor = "uid:7", .comment = {}});
  }
  approve(question, question.hash);
  if (planned.a == 5) approve(question, question.hash);  // An approval is for once.
}

}  // namespace recover::sim
