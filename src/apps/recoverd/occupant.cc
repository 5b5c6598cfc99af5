#include "apps/recoverd/occupant.h"

#include <cstdint>
#include <fstream>
#include <sstream>

#include "adapters/process/proc_file.h"

namespace recover::apps {
namespace {

constexpr const char* kFile = "/recoverd.pid";

struct Note {
  pid_t pid = 0;
  std::uint64_t start_time = 0;
  std::string boot;
};

std::optional<Note> read_note(const std::string& state_dir) {
  std::ifstream file(state_dir + kFile);
  Note note;
  if (file >> note.pid >> note.start_time >> note.boot && note.pid > 0) return note;
  return std::nullopt;
}

}  // namespace

std::optional<pid_t> other_occupant(const std::string& state_dir, pid_t own) {
  const auto note = read_note(state_dir);
  if (!note || note->pid == own || note->boot != adapters::process::boot_id()) return std::nullopt;
  const auto stat = adapters::process::read_stat(note->pid);
  const bool alive = stat && stat->state != 'Z' && stat->start_time == note->start_time;
  return alive ? std::optional(note->pid) : std::nullopt;
}

void note_occupant(const std::string& state_dir, pid_t own) {
  const auto stat = adapters::process::read_stat(own);
  if (!stat) return;
  std::ofstream file(state_dir + kFile, std::ios::trunc);
  file << own << ' ' << stat->start_time << ' ' << adapters::process::boot_id() << '\n';
}

}  // namespace recover::apps
