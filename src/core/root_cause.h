// Whose fault an incident is: its own process, itself although its dependencies are well, or one of
// them. Under a dependency that is bad it is suppressed, and looked at again when that is back.
//
// Concludes with a cause and a confidence; decides nothing about recovery.
#pragma once

#include <string>

#include "core/turn.h"

namespace recover::core {

// Right after it was opened: concludes at once, or has the dependencies looked at.
void begin_analysis(Turn& turn, Incident& incident);
// Goes on with it, until what is needed was seen or `analysis_timeout` is over.
void analyse(Turn& turn, Incident& incident);
// A symptom that joined it: one that only its own process can have ends the analysis.
void note_own_symptom(Turn& turn, Incident& incident, Symptom symptom);
// Suppresses it while a dependency is bad, and ends that; true: it waits for the dependency.
bool follow_dependency(Turn& turn, Incident& incident);
// The cause is known, with a confidence from 0 to 1.
void conclude(Turn& turn, Incident& incident, double confidence, std::string cause);

}  // namespace recover::core
