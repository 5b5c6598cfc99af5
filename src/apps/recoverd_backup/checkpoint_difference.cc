#include "apps/recoverd_backup/checkpoint_difference.h"

#include <utility>

#include "apps/recoverd_backup/text_diff.h"
#include "backup/browse/tree_walk.h"

namespace recover::apps {

namespace checkpoint = adapters::checkpoint;
using backup::Difference;
using backup::DifferenceKind;
using backup::Digest;
using backup::FailureKind;
using backup::Outcome;
using checkpoint::WorkerAnswer;
using checkpoint::WorkerResult;

namespace {

constexpr std::uint64_t kTextBytesMax = 1U << 20U;  // Of a file that is told line by line.
constexpr std::size_t kAnswerBytesMax = 8U << 20U;

Outcome<Digest> tree_of(const backup::Repository& repository, const std::string& id) {
  const auto digest = backup::parse_digest(id);
  if (!digest) return backup::fail(FailureKind::Damaged, "it names no snapshot");
  const auto text = repository.load({.kind = backup::FileKind::Snapshot, .id = *digest});
  if (!text) return Unexpected(text.error());
  const auto snapshot = backup::parse_snapshot(*text);
  if (!snapshot) return Unexpected(snapshot.error());
  return snapshot->tree;
}

// None: it is no text, or too long to be read by people.
Outcome<std::optional<std::string>> text_in(const backup::Repository& repository,
                                            const backup::BlobIndex& index, const Digest& tree,
                                            const std::string& path) {
  const auto node = backup::find_node(repository, index, tree, path);
  if (!node && node.error().kind == FailureKind::NotFound) return std::optional(std::string());
  if (!node) return Unexpected(node.error());
  if (node->type != backup::NodeType::File || node->size > kTextBytesMax) {
    return std::optional<std::string>();
  }
  std::string text;
  const auto read =
      backup::read_content_of(repository, index, *node, [&](backup::View part) -> Outcome<void> {
        text += backup::text_of(part);
        return {};
      });
  if (!read) return Unexpected(read.error());
  if (text.find('\0') != std::string::npos) return std::optional<std::string>();
  return std::optional(std::move(text));
}

}  // namespace

WorkerResult difference_of(const CheckpointVault& vault, const checkpoint::WorkerJob& job) {
  const backup::Repository& repository = vault.repository();
  const auto index = repository.load_index();
  if (!index) return Unexpected(checkpoint_error(index.error()));
  const auto before = tree_of(repository, job.snapshot);
  if (!before) return Unexpected(checkpoint_error(before.error()));
  const auto after = tree_of(repository, job.other);
  if (!after) return Unexpected(checkpoint_error(after.error()));
  std::vector<Difference> differences;
  const auto compared =
      backup::diff_trees(repository, *index, *before, *after, false,
                         [&](const Difference& difference) { differences.push_back(difference); });
  if (!compared) return Unexpected(checkpoint_error(compared.error()));
  WorkerAnswer answer;
  for (const Difference& difference : differences) {
    if (difference.path.ends_with('/') || answer.text.size() > kAnswerBytesMax) continue;
    const auto old_text = text_in(repository, *index, *before, difference.path);
    if (!old_text) return Unexpected(checkpoint_error(old_text.error()));
    const auto new_text = text_in(repository, *index, *after, difference.path);
    if (!new_text) return Unexpected(checkpoint_error(new_text.error()));
    const std::string nothing = "/dev/null";
    answer.text +=
        *old_text && *new_text
            ? unified_diff(**old_text,
                           difference.kind == DifferenceKind::Added ? nothing : difference.path,
                           **new_text,
                           difference.kind == DifferenceKind::Removed ? nothing : difference.path)
            : "Files " + difference.path + " differ\n";
  }
  return answer;
}

}  // namespace recover::apps
