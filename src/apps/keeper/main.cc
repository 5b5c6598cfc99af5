// recoverd-keeper: the keeper process of `recoverd run`, as a program of its own so that it holds
// no library and next to no memory. Started by recoverd in its own place (execve), never by people.
//
// usage: recoverd-keeper ENGINE ARGUMENT... ; runs ENGINE with "recoverd" and the arguments.
#include <link.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>

#include "adapters/process/keeper.h"

namespace {

constexpr int kUsage = 2;
constexpr int kNotExecuted = 127;

// Of the program's pages a start needs most, and what comes after it a tenth; what is needed again
// is still in the page cache.
int give_back(dl_phdr_info* info, std::size_t, void*) {
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& part = info->dlpi_phdr[i];
    if (part.p_type != PT_LOAD || (part.p_flags & PF_W) != 0) continue;
    const std::uintptr_t page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    const std::uintptr_t begin = (info->dlpi_addr + part.p_vaddr) / page * page;
    const std::uintptr_t end = info->dlpi_addr + part.p_vaddr + part.p_memsz;
    // An address the loader told us.  NOLINTNEXTLINE(performance-no-int-to-ptr)
    ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }
  return 1;  // The first is the program itself.
}

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
      {.program = engine, .arguments = arguments, .settled = [] {
         ::dl_iterate_phdr(give_back, nullptr);
       }});
}
