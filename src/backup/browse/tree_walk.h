// What a snapshot holds, looked at without restoring it: one walk through its trees, the content of
// a file, the difference of two snapshots. Reads only.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backup/format/node.h"
#include "backup/repo/repository.h"

namespace recover::backup {

enum class TreeVisit : std::uint8_t { GoOn, SkipBelow };

// Calls `use` with each path ("/srv/www") and node of the tree, a folder before what is in it, in
// the order of names. Damaged or NotFound: a tree that cannot be read; a failure of `use` is
// returned.
Outcome<void> walk_tree(
    const Repository& repository, const BlobIndex& index, const Digest& tree,
    const std::function<Outcome<TreeVisit>(const std::string& path, const Node& node)>& use);

// The node of a path. NotFound: there is none.
Outcome<Node> find_node(const Repository& repository, const BlobIndex& index, const Digest& tree,
                        std::string_view path);

// Hands the content of a file to `use`, blob by blob in order. Damaged: it is not of the node's
// size.
Outcome<void> read_content_of(const Repository& repository, const BlobIndex& index,
                              const Node& node, const std::function<Outcome<void>(View)>& use);

// As restic's diff writes them: + - M U T.
enum class DifferenceKind : std::uint8_t { Added, Removed, Content, Metadata, Type };
char letter_of(DifferenceKind kind);

struct Difference {
  DifferenceKind kind = DifferenceKind::Added;
  std::string path;  // Of a folder with a '/' at its end.
};

// From one tree to another, in the order of paths. Equal trees are not read. Metadata is compared
// only when `metadata` is set.
Outcome<void> diff_trees(const Repository& repository, const BlobIndex& index, const Digest& before,
                         const Digest& after, bool metadata,
                         const std::function<void(const Difference&)>& use);

}  // namespace recover::backup
