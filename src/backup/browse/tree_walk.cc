#include "backup/browse/tree_walk.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "backup/format/tree.h"

namespace recover::backup {
namespace {

// By name, whatever order they were written in.
Outcome<std::vector<Node>> nodes_in(const Repository& repository, const BlobIndex& index,
                                    const Digest& tree, BlobCodec& codec) {
  const auto text = repository.load_blob(index, {.id = tree, .type = BlobType::Tree}, codec);
  if (!text) return Unexpected(text.error());
  std::vector<Node> nodes;
  auto read = read_tree(text_of(*text), [&](Node&& node) -> Outcome<void> {
    nodes.push_back(std::move(node));
    return {};
  });
  if (!read) return Unexpected(std::move(read.error()));
  std::stable_sort(nodes.begin(), nodes.end(),
                   [](const Node& a, const Node& b) { return a.name < b.name; });
  return nodes;
}

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
    const auto old_nodes = nodes_in(repository_, index_, before, codec_);
    if (!old_nodes) return Unexpected(old_nodes.error());
    const auto new_nodes = nodes_in(repository_, index_, after, codec_);
    if (!new_nodes) return Unexpected(new_nodes.error());
    auto a = old_nodes->begin();
    auto b = new_nodes->begin();
    while (a != old_nodes->end() || b != new_nodes->end()) {
      const bool gone = b == new_nodes->end() || (a != old_nodes->end() && a->name < b->name);
      const bool came = a == old_nodes->end() || (b != new_nodes->end() && b->name < a->name);
      Outcome<void> told;
      if (gone) {
        told = tell_all(DifferenceKind::Removed, path, *a++);
      } else if (came) {
        told = tell_all(DifferenceKind::Added, path, *b++);
      } else {
        told = compare_nodes(path + "/" + a->name, *a, *b);
        ++a;
        ++b;
      }
      if (!told) return told;
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
    std::vector<Node> nodes;
    std::size_t next = 0;
  };
  auto nodes = nodes_in(repository, index, tree, codec);
  if (!nodes) return Unexpected(std::move(nodes.error()));
  std::vector<Level> levels;  // A stack of our own: trees may be deeper than the thread's.
  levels.push_back({.path = "", .nodes = std::move(*nodes)});
  while (!levels.empty()) {
    Level& level = levels.back();
    if (level.next == level.nodes.size()) {
      levels.pop_back();
      continue;
    }
    const Node node = std::move(level.nodes[level.next++]);
    const std::string path = level.path + "/" + node.name;
    const auto visit = use(path, node);
    if (!visit) return Unexpected(visit.error());
    if (!node.subtree || *visit == TreeVisit::SkipBelow) continue;
    auto below = nodes_in(repository, index, *node.subtree, codec);
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
    auto nodes = at.subtree ? nodes_in(repository, index, *at.subtree, codec) : std::vector<Node>();
    if (!nodes) return Unexpected(std::move(nodes.error()));
    const auto node = std::find_if(nodes->begin(), nodes->end(),
                                   [&](const Node& one) { return one.name == part.string(); });
    if (node == nodes->end()) {
      return fail(FailureKind::NotFound, clean + ": it is not in the snapshot");
    }
    at = std::move(*node);
  }
  return at;
}

Outcome<void> read_content_of(const Repository& repository, const BlobIndex& index,
                              const Node& node, const std::function<Outcome<void>(View)>& use) {
  BlobCodec codec(repository.key(), kDefaultLevel);
  std::uint64_t bytes = 0;
  for (const Digest& id : node.content) {
    const auto blob = repository.load_blob(index, {.id = id, .type = BlobType::Data}, codec);
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
