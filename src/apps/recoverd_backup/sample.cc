#include "apps/recoverd_backup/sample.h"

#include <random>
#include <utility>

#include "backup/browse/tree_walk.h"

namespace recover::apps {
namespace {

struct Drawn {
  std::string path;
  std::uint64_t bytes = 0;
};

}  // namespace

backup::Outcome<Sample> draw_sample(const backup::Repository& repository,
                                    const backup::Snapshot& snapshot) {
  const auto index = repository.load_index();
  if (!index) return Unexpected(index.error());
  // Reservoir sampling: one pass, no list of all files.
  std::mt19937_64 random(std::random_device{}());
  std::vector<Drawn> drawn;
  std::uint64_t seen = 0;
  auto walked = walk_tree(
      repository, *index, snapshot.tree,
      [&](const std::string& path, const backup::Node& node) -> backup::Outcome<backup::TreeVisit> {
        if (node.type != backup::NodeType::File) return backup::TreeVisit::GoOn;
        ++seen;
        if (drawn.size() < Sample::kFilesMax) {
          drawn.push_back({path, node.size});
        } else if (const std::uint64_t at = random() % seen; at < drawn.size()) {
          drawn[at] = {path, node.size};
        }
        return backup::TreeVisit::GoOn;
      });
  if (!walked) return Unexpected(std::move(walked.error()));
  Sample sample;
  std::uint64_t bytes = 0;
  for (Drawn& one : drawn) {
    bytes += one.bytes;
    if (!sample.paths.empty() && bytes > Sample::kBytesMax) break;
    sample.paths.push_back(std::move(one.path));
  }
  return sample;
}

}  // namespace recover::apps
