#include "apps/recoverd/import_command.h"

#include <algorithm>
#include <iostream>
#include <utility>

#include "apps/recoverd/configuration.h"
#include "apps/recoverd/disk_files.h"
#include "config/load.h"
#include "config/memory_files.h"
#include "import/import.h"

namespace recover::apps {
namespace {

// What we write must be what we read. Every mistake; empty: none.
std::vector<std::string> mistakes_in(const std::string& yaml) {
  config::MemoryFiles files({{"recoverd.yaml", yaml}});
  const auto loaded = config::load("recoverd.yaml", files);
  std::vector<std::string> found;
  if (loaded) return found;
  for (const config::Mistake& mistake : loaded.error()) found.push_back(config::to_string(mistake));
  return found;
}

}  // namespace

int import_configuration(const ImportOptions& options) {
  DiskFiles disk;
  std::vector<import::Source> sources;
  for (const std::string& path : options.files) {
    auto text = disk.read(path);
    if (!text) {
      std::cerr << "recoverd import: " << path << ": " << text.error() << '\n';
      return 2;
    }
    sources.push_back({path, std::move(*text)});
  }
  const bool known = std::ranges::any_of(
      sources, [](const import::Source& source) { return import::format_of(source).has_value(); });
  const import::Imported imported = import::import_files(sources);
  for (const std::string& remark : imported.remarks) {
    std::cerr << "not carried over: " << remark << '\n';
  }
  if (!known) return 2;
  for (const std::string& mistake : mistakes_in(imported.yaml)) {
    std::cerr << "to be mended by hand: " << mistake << '\n';
  }
  if (options.output.empty()) {
    std::cout << imported.yaml;
    return std::cout.flush() ? 0 : 1;
  }
  const auto written = write_configuration(options.output, imported.yaml);
  if (!written) {
    std::cerr << "recoverd import: " << written.error() << '\n';
    return 1;
  }
  std::cerr << options.output << ": " << imported.services << " services\n";
  return 0;
}

}  // namespace recover::apps
