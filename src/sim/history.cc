#include "sim/history.h"

#include "sim/run.h"

namespace recover::sim {

HistoryResult run_history(const Scenario& scenario, std::size_t trace_lines) {
  return Run(scenario, trace_lines, false).run();
}

HistoryResult run_history_in_json(const Scenario& scenario) {
  return Run(scenario, 0, true).run();
}

}  // namespace recover::sim
