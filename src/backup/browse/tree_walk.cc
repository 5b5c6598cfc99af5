#include "backup/browse/tree_walk.h"

#include <filesystem>
#include <optional>
#include <utility>

#include "backup/browse/tree_cursor.h"

namespace recover::backup {
namespace {

bool has_same_metadata(Node a, const Node& b) {
  // Where they lie and what they hold is another question.
  a.content = b.content;
  a.subtree = b.subtree;
  a.size = b.size;
  a.inode = b.inode;
  a.device_id = b.device_id;
  a.links = b.links;
  return a == b;
}

class TreeDifference {
 public:
  TreeDifference(const Repository& repository, const BlobIndex& index, bool metadata,
                 const std::function<void(const Difference&)>& use)
      : repository_(repository), index_(index), metadata_(metadata), use_(use) {}

  // Of two folders with the same path.
  Outcome<void> compare(const std::string& path, const Digest& before, const Digest& after) {
    if (before == after) return {};
    auto old_nodes = TreeCursor::open(repository_, index_, before, codec_);
    if (!old_nodes) return Unexpected(old_nodes.error());
    auto new_nodes = TreeCursor::open(repository_, index_, after, codec_);
    if (!new_nodes) return Unexpected(new_nodes.error());
    while (old_nodes->node() != nullptr || new_nodes->node() != nullptr) {
      const Node* const a = old_nodes->node();
      const Node* const b = new_nodes->node();
      const bool gone = b == nullptr || (a != nullptr && a->name < b->name);
      const bool came = a == nullptr || (b != nullptr && b->name < a->name);
      const auto told = gone   ? tell_all(DifferenceKind::Removed, path, *a)
                        : came ? tell_all(DifferenceKind::Added, path, *b)
                               : compare_nodes(path + "/" + a->name, *a, *b);
      if (!told) return told;
      if (!came) old_nodes->next();
      if (!gone) new_nodes->next();
    }
    return {};
  }

 private:
  Outcome<void> compare_nodes(const std::string& path, const Node& a, const Node& b) {
    const std::string end = b.type == NodeType::Folder ? "/" : "";
    if (a.type != b.type) {
      use_({.kind = DifferenceKind::Type, .path = path + end});
      if (a.type == NodeType::Folder) {
        if (auto told = tell_below(DifferenceKind::Removed, path, a); !told) return told;
      }
      return b.type == NodeType::Folder ? tell_below(DifferenceKind::Added, path, b)
                                        : Outcome<void>();
    }
    if (b.type == NodeType::File && a.content != b.content) {
      use_({.kind = DifferenceKind::Content, .path = path});
    } else if (metadata_ && !has_same_metadata(a, b)) {
      use_({.kind = DifferenceKind::Metadata, .path = path + end});
    }
    return a.subtree && b.subtree ? compare(path, *a.subtree, *b.subtree) : Outcome<void>();
  }

  Outcome<void> tell_all(DifferenceKind kind, const std::string& above, const Node& node) {
    const std::string path = above + "/" + node.name;
    use_({.kind = kind, .path = path + (node.type == NodeType::Folder ? "/" : "")});
    return tell_below(kind, path, node);
  }

  Outcome<void> tell_below(DifferenceKind kind, const std::string& above, const Node& node) {
    if (!node.subtree) return {};
    return walk_tree(
        repository_, index_, *node.subtree,
        [&](const std::string& path, const Node& one) -> Outcome<TreeVisit> {
          use_({.kind = kind, .path = above + path + (one.type == NodeType::Folder ? "/" : "")});
          return TreeVisit::GoOn;
        });
  }

  const Repository& repository_;
  const BlobIndex& index_;
  const bool metadata_;
  const std::function<void(const Difference&)>& use_;
  BlobCodec codec_{repository_.key(), kDefaultLevel};
};

}  // namespace

Outcome<void> walk_tree(
    const Repository& repository, const BlobIndex& index, const Digest& tree,
    const std::function<Outcome<TreeVisit>(const std::string& path, const Node& node)>& use) {
  BlobCodec codec(repository.key(), kDefaultLevel);
  struct Level {
    std::string path;
    TreeCursor nodes;
  };
  auto nodes = TreeCursor::open(repository, index, tree, codec);
  if (!nodes) return Unexpected(std::move(nodes.error()));
  std::vector<Level> levels;  // A stack of our own: trees may be deeper than the thread's.
  levels.push_back({.path = "", .nodes = std::move(*nodes)});
  while (!levels.empty()) {
    Level& level = levels.back();
    if (level.nodes.node() == nullptr) {
      levels.pop_back();
      continue;
    }
    const Node node = *level.nodes.node();
    level.nodes.next();
    const std::string path = level.path + "/" + node.name;
    const auto visit = use(path, node);
    if (!visit) return Unexpected(visit.error());
    if (!node.subtree || *visit == TreeVisit::SkipBelow) continue;
    auto below = TreeCursor::open(repository, index, *node.subtree, codec);
    if (!below) return Unexpected(std::move(below.error()));
    levels.push_back({.path = path, .nodes = std::move(*below)});
  }
  return {};
}

Outcome<Node> find_node(const Repository& repository, const BlobIndex& index, const Digest& tree,
                        std::string_view path) {
  BlobCodec codec(repository.key(), kDefaultLevel);
  Node at{.name = {}, .type = NodeType::Folder};
  at.subtree = tree;
  const std::string clean = (std::filesystem::path("/") / path).lexically_normal().string();
  for (const auto& part : std::filesystem::path(clean).relative_path()) {
    if (part.empty()) continue;  // A '/' at the end.
    std::optional<Node> found;
    if (at.subtree) {
      auto read = repository.each_node(index, *at.subtree, codec, [&](Node&& one) -> Outcome<void> {
        if (!found && one.name == part.string()) found = std::move(one);
        return {};
      });
      if (!read) return Unexpected(std::move(read.error()));
    }
    if (!found) return fail(FailureKind::NotFound, clean + ": it is not in the snapshot");
    at = std::move(*found);
  }
  return at;
}

Outcome<void> read_content_of(const Repository& repository, const BlobIndex& index,
                              const Node& node, const std::function<Outcome<void>(View)>& use) {
  BlobCodec codec(repository.key(), kDefaultLevel);
  std::uint64_t bytes = 0;
  for (const Digest& id : node.content) {
    const auto blob = repository.read_blob(index, {.id = id, .type = BlobType::Data}, codec);
    if (!blob) return Unexpected(blob.error());
    bytes += blob->size();
    if (auto used = use(*blob); !used) return used;
  }
  if (bytes == node.size) return {};
  return fail(FailureKind::Damaged, node.name + ": its blobs have " + std::to_string(bytes) +
                                        " bytes, its tree says " + std::to_string(node.size));
}

char letter_of(DifferenceKind kind) {
  switch (kind) {
    case DifferenceKind::Added: return '+';
    case DifferenceKind::Removed: return '-';
    case DifferenceKind::Content: return 'M';
    case DifferenceKind::Metadata: return 'U';
    case DifferenceKind::Type: return 'T';
  }
  return '?';
}

Outcome<void> diff_trees(const Repository& repository, const BlobIndex& index, const Digest& before,
                         const Digest& after, bool metadata,
                         const std::function<void(const Difference&)>& use) {
  return TreeDifference(repository, index, metadata, use).compare("", before, after);
}

}  // namespace recover::backup
