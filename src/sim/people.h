// The people around a simulated recoverd: they ask for things, and answer what they are asked, in
// time, late, twice, wrongly or not at all.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "core/command.h"
#include "core/event.h"
#include "sim/agenda.h"
#include "sim/checker.h"
#include "sim/dice.h"
#include "sim/scenario.h"

namespace recover::sim {

class People {
 public:
  struct Reach {
    std::function<void(core::Event&&)> post;  // Ignored while recoverd is away.
    std::function<void()> let_decide;         // recoverd decides upon what was posted.
    std::function<bool()> is_there;           // recoverd is.
  };
  // All outlive the people.
  People(const core::Policy& policy, const Scenario& scenario, Agenda& agenda, Checker& checker,
         Dice& dice, Reach reach);

  // Somebody does something by himself.
  void act(Instant now);
  // recoverd tells them something; a question is answered later, if at all.
  void hear(const core::Notice& notice, Instant now);
  // The answer that hear() planned. In peace nobody makes mistakes any more.
  void answer(const Planned& planned, Instant now, bool peace);

 private:
  struct Question {
    core::RecoveryId recovery;
    std::uint64_t hash = 0;
  };

  void approve(const Question& question, std::uint64_t hash);
  core::ServiceIndex any_service() {
    return {dice_.roll(static_cast<std::uint32_t>(policy_.services.size()))};
  }
  core::PlaybookIndex any_playbook() {
    return {dice_.roll(static_cast<std::uint32_t>(policy_.playbooks.size()))};
  }

  const core::Policy& policy_;
  const Scenario& scenario_;
  Agenda& agenda_;
  Checker& checker_;
  Dice& dice_;
  Reach reach_;
  std::vector<Question> questions_;
};

}  // namespace recover::sim
