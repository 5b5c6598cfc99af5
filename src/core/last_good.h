// When a service's state has proven itself: the checkpoint "last-good".
//
// What a service started with, was reloaded with, or goes on well beside is a candidate: a
// checkpoint is taken at once, of exactly that. After `checkpoint.after` of good health the
// candidate is given the name; an incident before then ends the trial. See ADR 0012.
#pragma once

#include <string_view>

#include "core/event.h"
#include "core/turn.h"

namespace recover::core {

// What candidates are called, and what a candidate is called that a start or reload has read:
// naming that one names last-good too.
inline constexpr std::string_view kCandidate = "candidate";
inline constexpr std::string_view kLastGood = "last-good";
inline constexpr std::string_view kLastGoodStarted = "last-good-started";
// While the state keeps changing, a candidate that has not changed for this share of
// `checkpoint.after` is replaced; and the newest is promoted after so many times `after` all the
// same, since nothing better will come.
inline constexpr int kCandidatesPerTrial = 4;
inline constexpr int kTrialsMax = 4;

// False: nothing new.
bool on_state_seen(Turn& turn, const StateSeen& event);
// A start or reload reads what is there now.
void note_state_read(Turn& turn, ServiceIndex service);
// The service is not well: what it runs with has not proven itself.
void end_trial(Turn& turn, ServiceIndex service);
void advance_last_good(Turn& turn, ServiceIndex service);
void finish_last_good(Turn& turn, const Command& command, const CommandFinished& event);
// When to take a candidate or to promote it; kNever: not by time.
Instant last_good_deadline(const Policy& policy, const State& state, ServiceIndex service) noexcept;

}  // namespace recover::core
