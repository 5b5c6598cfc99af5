// recoverd-keeper: the keeper process of `recoverd run`, as a program of its own so that it holds
// no library and next to no memory. Started by recoverd in its own place (execve), never by people.
//
// usage: recoverd-keeper ENGINE ARGUMENT... ; runs ENGINE with "recoverd" and the arguments.
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>

#include "adapters/process/keeper.h"

namespace {

constexpr int kUsage = 2;
constexpr int kNotExecuted = 127;

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("recoverd-keeper: started by `recoverd run`, not by hand\n", stderr);
    return kUsage;
  }
  prctl(PR_SET_NAME, "recoverd");
  const char* const engine = argv[1];
  char** const arguments = argv + 1;
  // As the engine is called, whatever the file is called.
  static char name[] = "recoverd";
  arguments[0] = name;
  return recover::adapters::process::run_keeper(
      [engine, arguments] {
        execv(engine, arguments);
        std::perror(engine);
        return kNotExecuted;
      },
      // Executed anew, it becomes the keeper that lies beside it.
      {.program = engine, .arguments = arguments});
}
