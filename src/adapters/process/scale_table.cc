#include "adapters/process/scale_table.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <sstream>
#include <system_error>
#include <utility>

#include "adapters/process/descriptor.h"
#include "adapters/process/proc_file.h"

namespace recover::adapters::process {
namespace {

constexpr mode_t kScaleMode = 0600;

}  // namespace

ScaleTable::ScaleTable(std::string path) : path_(std::move(path)) {
  std::istringstream lines(read_small_file(path_).value_or(""));
  std::string service;
  Row row;
  while (lines >> service >> row.configured >> row.wanted) rows_[service] = row;
}

std::optional<std::uint32_t> ScaleTable::wanted(const std::string& service,
                                                std::uint32_t configured) const {
  const auto found = rows_.find(service);
  if (found == rows_.end() || found->second.configured != configured) return std::nullopt;
  return found->second.wanted;
}

Result<void, std::string> ScaleTable::set(const std::string& service, std::uint32_t configured,
                                          std::uint32_t wanted) {
  if (configured == wanted) {
    rows_.erase(service);
  } else {
    rows_[service] = {.configured = configured, .wanted = wanted};
  }
  return save();
}

Result<void, std::string> ScaleTable::save() const {
  std::string text;
  for (const auto& [service, row] : rows_) {
    text +=
        service + "\t" + std::to_string(row.configured) + "\t" + std::to_string(row.wanted) + "\n";
  }
  const std::string fresh = path_ + ".new";
  const Descriptor file(
      ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kScaleMode));
  // Unlike the processes, this must survive the machine's end.
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      ::fsync(file.get()) != 0 || std::rename(fresh.c_str(), path_.c_str()) != 0) {
    return Unexpected(path_ + ": " + std::generic_category().message(errno));
  }
  return {};
}

}  // namespace recover::adapters::process
