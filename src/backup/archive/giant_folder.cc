// The part of a walk that reads a folder of so many entries that they are not held at once.
#include <algorithm>
#include <utility>

#include "backup/archive/walk.h"

namespace recover::backup {
namespace {

// None: there is no room for them.
std::optional<MappedRegion> spill_names(const NameList& names, const std::string& folder) {
  auto sorted = SpilledText::open(folder);
  bool good = sorted && names.size() > 0;
  for (std::size_t i = 0; good && i < names.size(); ++i) good = sorted->append(names.entry(i));
  return good && sorted->flush() ? sorted->map() : std::nullopt;
}

}  // namespace

bool Walk::begin_giant(const FolderPtr& folder, NameList& names, unsigned thread) {
  auto text = SpilledText::open(index_.spill_folder());
  if (!text) return false;
  auto sorted = spill_names(names, index_.spill_folder());
  if (!sorted) return false;
  folder->giant = std::make_unique<GiantFolder>(
      GiantFolder{.names = std::move(*sorted), .count = names.size(), .text = std::move(*text)});
  names = NameList();
  folder->giant->text.append("{\"nodes\":[");
  if (folder->earlier) {
    auto earlier = repository_.load_tree(index_, *folder->earlier, workers_[thread].codec);
    if (earlier) {
      folder->giant->earlier = std::move(*earlier);
      folder->giant->scanner.emplace(folder->giant->earlier->text());
      folder->giant->node = folder->giant->scanner->next();
    }
  }
  next_lot(folder, thread);
  return true;
}

// A tree that is not as we would write it ends early: then files are read again.
bool Walk::find_earlier(GiantFolder& giant, std::string_view name) {
  while (giant.node && giant.node->name < name) giant.node = giant.scanner->next();
  return giant.node && giant.node->name == name;
}

void Walk::next_lot(const FolderPtr& folder, unsigned thread) {
  GiantFolder& giant = *folder->giant;
  const std::size_t lot = options_.giant_entries / 4 + 1;
  const std::size_t count = std::min(lot, giant.count - giant.next);
  folder->slots.assign(count, {});
  folder->waiting += count;
  Work work;
  for (std::size_t slot = 0; slot < count; ++slot) {
    const char* const entry = reinterpret_cast<const char*>(giant.names.data()) + giant.next_at;
    const std::string name(entry + 1);
    giant.next_at += name.size() + 2;
    const bool known = find_earlier(giant, name);
    FileTask task{
        .slot = slot, .name = name, .is_file = NameList::is_file(entry), .is_known = known};
    task.changed = change_of(*folder, name);
    if (known) {
      const Earlier earlier{.node = *giant.node, .text = giant.scanner->text()};
      take_entry(folder, std::move(task), &earlier, work, thread);
    } else {
      take_entry(folder, std::move(task), nullptr, work, thread);
    }
  }
  giant.next += count;
  giant.names.give_back();
  if (giant.earlier) giant.earlier->give_back();
  begin_work(folder, std::move(work));
}

bool Walk::end_lot(const FolderPtr& folder) {
  GiantFolder& giant = *folder->giant;
  bool good = true;
  for (const std::string& node : folder->slots) {
    if (node.empty()) continue;
    if (!std::exchange(giant.empty, false)) giant.text.append(",");
    good = giant.text.append(node);
  }
  folder->slots.clear();
  if (!good)
    stop_with({.kind = FailureKind::Full, .message = "no room for the nodes of " + folder->path});
  if (is_stopped() || giant.next == giant.count) return false;
  folder->waiting = 1;
  pool_.add(TaskPool::Kind::Folder, [this, folder](unsigned thread) {
    if (!is_stopped()) next_lot(folder, thread);
    settle(folder, thread);
  });
  return true;
}

void Walk::store_giant(const FolderPtr& folder, unsigned thread) {
  const std::unique_ptr<GiantFolder> giant = std::move(folder->giant);
  SpilledText& text = giant->text;
  Sha256 hash;
  const bool whole = text.append("]}\n") && text.flush() && text.each_piece([&](View piece) {
    hash.add(piece);
    return true;
  });
  giant->names = MappedRegion();
  giant->scanner.reset();
  giant->earlier.reset();
  if (!whole) {
    return stop_with(
        {.kind = FailureKind::Full, .message = "no room for the nodes of " + folder->path});
  }
  const Digest id = hash.finish();
  if (!saver_.claim({.id = id, .type = BlobType::Tree})) {
    auto stored = saver_.store_long(workers_[thread].codec, id, text.pieces());
    if (!stored) return stop_with(std::move(stored.error()));
  }
  keep_tree(folder, id);
}

}  // namespace recover::backup
