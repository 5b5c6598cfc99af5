/* Steps the first thread of a process through its program and prints the offsets it executed.
 *
 * usage: hot_functions PID SECONDS; for hot_functions.py. Linux on x86-64, as root. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>

static unsigned long first, last;

static void find_program(int pid) {
  char line[4352];
  snprintf(line, sizeof line, "/proc/%d/maps", pid);
  FILE* maps = fopen(line, "r");
  while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
    unsigned long begin = 0, end = 0;
    if (strstr(line, "/recoverd\n") == NULL || sscanf(line, "%lx-%lx", &begin, &end) != 2) continue;
    if (first == 0) first = begin;
    last = end;
  }
  if (maps != NULL) fclose(maps);
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const int pid = atoi(argv[1]);
  find_program(pid);
  unsigned char* seen = calloc(last - first + 1, 1);
  int status = 0;
  if (ptrace(PTRACE_SEIZE, pid, 0, 0) != 0 || ptrace(PTRACE_INTERRUPT, pid, 0, 0) != 0 ||
      waitpid(pid, &status, __WALL) < 0) {
    perror("ptrace");
    return 1;
  }
  const time_t end = time(NULL) + atoi(argv[2]);
  long passed_on = 0;
  while (time(NULL) < end) {
    struct user_regs_struct registers;
    ptrace(PTRACE_GETREGS, pid, 0, &registers);
    if (registers.rip >= first && registers.rip < last) seen[registers.rip - first] = 1;
    if (ptrace(PTRACE_SINGLESTEP, pid, 0, (void*)passed_on) != 0) break;
    if (waitpid(pid, &status, __WALL) < 0 || !WIFSTOPPED(status)) break;
    passed_on = WSTOPSIG(status) == SIGTRAP || status >> 16 != 0 ? 0 : WSTOPSIG(status);
  }
  ptrace(PTRACE_DETACH, pid, 0, 0);
  for (unsigned long offset = 0; offset < last - first; ++offset) {
    if (seen[offset]) printf("%lx\n", offset);
  }
  return 0;
}
