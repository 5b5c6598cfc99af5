// Which files of a snapshot a restore test restores.
#pragma once

#include <string>
#include <vector>

#include "backup/repo/repository.h"

namespace recover::apps {

struct Sample {
  static constexpr std::size_t kFilesMax = 100;
  static constexpr std::uint64_t kBytesMax = std::uint64_t{256} << 20U;

  std::vector<std::string> paths;  // Of the snapshot.
};

// Files drawn at random, each as likely as any other, as many as fit in both limits; at least one
// when there is any. Failure: a tree of the snapshot cannot be read.
backup::Outcome<Sample> draw_sample(const backup::Repository& repository,
                                    const backup::Snapshot& snapshot);

}  // namespace recover::apps
