// `recoverd sim` without the rest of recoverd: what tools/mutants.py and the check that every
// compiler gives the same trace hash build many times.
#include "sim/campaign.h"

#include <cstdlib>
#include <iostream>
#include <string_view>

namespace {

constexpr std::string_view kUsage = "usage: sim_campaign FIRST LAST [--json]\n";

}  // namespace

int main(int count, char** arguments) {
  if (count < 3 || count > 4 || (count == 4 && arguments[3] != std::string_view("--json"))) {
    std::cerr << kUsage;
    return 2;
  }
  recover::sim::Options options;
  options.first = std::strtoull(arguments[1], nullptr, 10);
  options.last = std::strtoull(arguments[2], nullptr, 10);
  options.json = count == 4;
  return recover::sim::run(options, std::cout);
}
