// The part of a walk that looks only at what is known to have changed, and takes all else from the
// trees of the parent snapshot.
#include <optional>
#include <utility>
#include <vector>

#include "backup/archive/walk.h"
#include "backup/format/tree.h"
#include "backup/format/tree_pieces.h"

namespace recover::backup {

void Walk::take_earlier(const FolderPtr& folder) {
  keep_tree(folder, *folder->earlier);
  if (folder->above) settle(folder->above, caller());
}

namespace {

// A tree of the parent snapshot, cut where something changed.
struct ChangedTree {
  struct Look {
    std::size_t slot = 0;
    const std::string& name;
    const ChangeSet::Entry& changed;
    std::string_view earlier;  // The text of its node; empty: there was none.
  };
  std::vector<std::string_view> kept;  // By slot; empty where something is looked at.
  std::vector<Look> looks;
};

// None: the text is not of the form that we write.
std::optional<ChangedTree> cut(std::string_view text, const ChangeSet::Entry& changed) {
  ChangedTree tree;
  bool goes_on = false;
  auto next = changed.below.begin();
  const auto look = [&](std::string_view earlier) {
    tree.looks.push_back({.slot = tree.kept.size(),
                          .name = next->first,
                          .changed = next->second,
                          .earlier = earlier});
    tree.kept.emplace_back();
    goes_on = false;
    ++next;
  };
  TreePieces pieces(text);
  while (const auto piece = pieces.next()) {
    while (next != changed.below.end() && next->first < piece->name) look({});
    if (next != changed.below.end() && next->first == piece->name) {
      look(piece->text);
    } else if (goes_on) {  // The nodes that stay, and the commas between them, are one text.
      const char* const begin = tree.kept.back().data();
      const char* const end = piece->text.data() + piece->text.size();
      tree.kept.back() = {begin, static_cast<std::size_t>(end - begin)};
    } else {
      tree.kept.push_back(piece->text);
      goes_on = true;
    }
  }
  if (!pieces.is_complete()) return std::nullopt;
  while (next != changed.below.end()) look({});
  return tree;
}

std::optional<Node> parse_node(std::string_view text) {
  std::optional<Node> node;
  const auto read =
      read_tree("{\"nodes\":[" + std::string(text) + "]}\n", [&](Node&& one) -> Outcome<void> {
        node = std::move(one);
        return {};
      });
  return read ? node : std::nullopt;
}

}  // namespace

const ChangeSet::Entry* Walk::change_of(const OpenFolder& folder, const std::string& name) {
  if (folder.changed == nullptr) return nullptr;
  const auto change = folder.changed->below.find(name);
  return change == folder.changed->below.end() ? nullptr : &change->second;
}

bool Walk::sort_changes(const FolderPtr& folder, unsigned thread) {
  const BlobKey key{.id = folder->earlier.value_or(Digest()), .type = BlobType::Tree};
  // A long tree is not held: its folder is listed and read as a walk of everything reads it.
  const auto place = index_.find(key);
  if (!place || is_longer(place->entry, kLongTreeBytes)) return false;
  const auto text = repository_.load_blob(index_, key, workers_[thread].codec);
  if (!text) return false;
  const auto tree = cut(text_of(*text), *folder->changed);
  if (!tree) return false;
  progress_.folders.fetch_add(1, std::memory_order_relaxed);
  folder->waiting += tree->looks.size();
  folder->slots.assign(tree->kept.begin(), tree->kept.end());
  Work work;
  for (const ChangedTree::Look& look : tree->looks) {
    const auto node = parse_node(look.earlier);
    FileTask task{.slot = look.slot,
                  .name = look.name,
                  .is_known = node.has_value(),
                  .changed = &look.changed,
                  .may_be_gone = true};
    if (node) {
      const Earlier earlier{.node = *node, .text = look.earlier};
      take_entry(folder, std::move(task), &earlier, work, thread);
    } else {
      take_entry(folder, std::move(task), nullptr, work, thread);
    }
  }
  begin_work(folder, std::move(work));
  return true;
}

}  // namespace recover::backup
