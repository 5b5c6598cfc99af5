// `recoverd import`: reads other supervisors' files, writes one recoverd.yaml.
#pragma once

#include <string>
#include <vector>

namespace recover::apps {

struct ImportOptions {
  std::vector<std::string> files;
  std::string output;  // Empty: stdout.
};

// 0: written; 1: it cannot be written; 2: a file cannot be read, or none of them is of a known
// kind.
int import_configuration(const ImportOptions& options);

}  // namespace recover::apps
