#include "apps/recoverd/configuration_history.h"

#include <filesystem>

namespace recover::apps {

std::string history_name(const std::string& environment) {
  return std::string(ports::kConfigurationHistory) + (environment.empty() ? "" : ":" + environment);
}

Result<void, std::string> keep_configuration(ports::CheckpointStore& store,
                                             const std::vector<std::string>& paths,
                                             const std::string& environment) {
  const std::string history = history_name(environment);
  ports::TakeRequest request{.service = history, .versioned = true};
  for (const std::string& path : paths) {
    std::error_code error;
    const auto whole = std::filesystem::weakly_canonical(path, error);
    if (!error && std::filesystem::is_regular_file(whole, error)) {
      request.paths.push_back(whole.string());
    }
  }
  if (!environment.empty()) request.facts.emplace_back("environment", environment);
  if (request.paths.empty()) return {};
  const auto taken = store.take(request);
  if (!taken) return Unexpected(taken.error().message);
  if (!taken->new_state) return {};
  const auto pruned = store.prune({.service = history, .keep = kVersionsMax});
  if (!pruned) return Unexpected(pruned.error().message);
  return {};
}

}  // namespace recover::apps
