// How many instances services were scaled to: <state_dir>/run/scale, for starts after our end.
//
// One line a service, tab-separated: service, number configured when it was scaled, number wanted.
// A row whose configured number is not the configuration's any more is void. Replaced by rename(2).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include <recover/result.h>

namespace recover::adapters::process {

class ScaleTable {
 public:
  // Reads it; lines that make no sense are skipped.
  explicit ScaleTable(std::string path);

  // None: as configured.
  std::optional<std::uint32_t> wanted(const std::string& service, std::uint32_t configured) const;
  // Error: with the path and the system's reason; it holds until our end all the same.
  Result<void, std::string> set(const std::string& service, std::uint32_t configured,
                                std::uint32_t wanted);

 private:
  struct Row {
    std::uint32_t configured = 0;
    std::uint32_t wanted = 0;
  };
  Result<void, std::string> save() const;

  std::string path_;
  std::map<std::string, Row, std::less<>> rows_;
};

}  // namespace recover::adapters::process
