// Entries a second through the journal, for both durabilities and group sizes, beside the bare
// limit: writing and syncing 4 KiB. In TMPDIR: choose a real disk.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "journal/sqlite_journal.h"
#include "test/temp_folder.h"

namespace recover::journal {
namespace {

using ports::Durability;
using ports::Entry;
using ports::EntryKind;

// As large as an ordinary event with its reasons.
std::vector<Entry> group_of(std::size_t size) {
  return std::vector<Entry>(size, Entry{.kind = EntryKind::Event,
                                        .wall_ns = 1'700'000'000'000'000'000,
                                        .type = "probe_finished",
                                        .service = "web",
                                        .body = std::string(200, 'x')});
}

void append(benchmark::State& state, Durability durability, const base::Secret& key) {
  const test::TempFolder folder;
  auto journal = SqliteJournal::open({.path = folder / "journal.db", .key = key});
  if (!journal) return state.SkipWithError(journal.error().message.c_str());
  const auto entries = group_of(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    if (!(*journal)->append(entries, durability)) return state.SkipWithError("append failed");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}

void journal_process_crash(benchmark::State& state) {
  append(state, Durability::ProcessCrash, {});
}
BENCHMARK(journal_process_crash)->Arg(1)->Arg(64)->UseRealTime();

void journal_power_loss(benchmark::State& state) {
  append(state, Durability::PowerLoss, {});
}
BENCHMARK(journal_power_loss)->Arg(1)->Arg(64)->UseRealTime();

void journal_encrypted(benchmark::State& state) {
  append(state, Durability::ProcessCrash, base::Secret(std::string(kKeyBytes, 'k')));
}
BENCHMARK(journal_encrypted)->Arg(1)->Arg(64)->UseRealTime();

void journal_verify(benchmark::State& state) {
  constexpr std::int64_t kEntries = 100 * 64;
  const test::TempFolder folder;
  auto journal = SqliteJournal::open({.path = folder / "journal.db"});
  if (!journal) return state.SkipWithError(journal.error().message.c_str());
  for (int i = 0; i < 100; ++i) {
    if (!(*journal)->append(group_of(64), Durability::ProcessCrash)) {
      return state.SkipWithError("append failed");
    }
  }
  for (auto _ : state) benchmark::DoNotOptimize((*journal)->verify());
  state.SetItemsProcessed(state.iterations() * kEntries);
}
BENCHMARK(journal_verify);

void disk_write(benchmark::State& state, bool sync) {
  const test::TempFolder folder;
  const std::string path = folder / "file";
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const std::array<char, 4'096> page{};
  off_t offset = 0;
  for (auto _ : state) {
    const bool written = ::pwrite(fd, page.data(), page.size(), offset) == 4'096;
    if (!written || (sync && ::fdatasync(fd) != 0)) {
      state.SkipWithError("write failed");
      break;
    }
    offset = (offset + 4'096) % (1 << 24);
  }
  ::close(fd);
  state.SetItemsProcessed(state.iterations());
}
void disk_write_4k(benchmark::State& state) {
  disk_write(state, false);
}
BENCHMARK(disk_write_4k)->UseRealTime();
void disk_write_fdatasync_4k(benchmark::State& state) {
  disk_write(state, true);
}
BENCHMARK(disk_write_fdatasync_4k)->UseRealTime();

}  // namespace
}  // namespace recover::journal
