// recoverctl: the operator's command line to recoverd.
#include <csignal>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "apps/recoverctl/cli.h"

int main(int argc, char** argv) {
  // A closed pipe (`recoverctl events --follow | head`) is seen as a failed write.
  std::signal(SIGPIPE, SIG_IGN);
  // Through stdio, std::cout does not learn that a terminal is gone, and --watch would go on for
  // ever.
  std::ios::sync_with_stdio(false);
  try {
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    return recover::apps::run(arguments, std::cout, std::cerr);
  } catch (const std::exception& error) {
    std::cerr << "recoverctl: " << error.what() << "\n";
    return 1;
  }
}
