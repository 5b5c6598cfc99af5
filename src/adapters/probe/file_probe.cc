#include <sys/stat.h>

#include <cerrno>
#include <chrono>

#include "adapters/probe/runners.h"

namespace recover::adapters::probe {
namespace {

std::string seconds_text(Duration duration) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(duration).count()) + " s";
}

Finding judge(const core::FileProbe& probe, const struct stat& file) {
  if (!probe.exists) return wrong(probe.path + " exists");
  const auto size = static_cast<std::uint64_t>(file.st_size);
  if (probe.max_size && size > *probe.max_size) {
    return wrong(probe.path + " has " + std::to_string(size) + " bytes, at most " +
                 std::to_string(*probe.max_size) + " wanted");
  }
  if (probe.min_size && size < *probe.min_size) {
    return wrong(probe.path + " has " + std::to_string(size) + " bytes, at least " +
                 std::to_string(*probe.min_size) + " wanted");
  }
  const auto changed =
      std::chrono::system_clock::time_point(std::chrono::seconds(file.st_mtim.tv_sec) +
                                            std::chrono::microseconds(file.st_mtim.tv_nsec / 1000));
  const Duration age = std::chrono::system_clock::now() - changed;
  if (probe.max_age && age > *probe.max_age) {
    return wrong(probe.path + " last changed " + seconds_text(age) + " ago, at most " +
                 seconds_text(*probe.max_age) + " wanted");
  }
  return passed();
}

Finding look_at(const core::FileProbe& probe) {
  struct stat file {};
  if (::stat(probe.path.c_str(), &file) == 0) return judge(probe, file);
  const int error = errno;
  if (error == ENOENT || error == ENOTDIR) {
    return probe.exists ? wrong(probe.path + " does not exist") : passed();
  }
  return of_errno(error, probe.path);
}

}  // namespace

std::unique_ptr<ProbeRunner> make_file(const core::FileProbe& probe, const Tools& tools) {
  return make_blocking([probe] { return look_at(probe); }, probe.path, tools);
}

}  // namespace recover::adapters::probe
