// The walk of one backup: folders and files as tasks of a pool, bottom-up into tree blobs. For
// archiver.cc only.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "backup/archive/archiver.h"
#include "backup/archive/exclude.h"
#include "backup/archive/name_list.h"
#include "backup/archive/read_buffer.h"
#include "backup/chunk/chunker.h"
#include "backup/format/node_scanner.h"
#include "backup/local/entry.h"
#include "backup/local/spilled_text.h"
#include "backup/local/task_pool.h"

namespace recover::backup {

// What a folder of more entries than are held at once needs besides: they are read lot by lot, a
// lot when the one before is done, and their nodes go to a file.
struct GiantFolder {
  MappedRegion names;       // In order, each with its kind before it (name_list.h) and a zero byte.
  std::size_t count = 0;    // Of names...
  std::size_t next = 0;     // ...the first of the next lot,
  std::size_t next_at = 0;  // and where it begins.
  SpilledText text;
  bool empty = true;  // The text has no node yet.
  // The tree in the parent snapshot, as far as the names have come.
  std::optional<LoadedTree> earlier = {};
  std::optional<NodeScanner> scanner = {};
  std::optional<Node> node = {};  // The scanner's last.
};

// A folder between being opened and being stored. Its slots are in the order of names; each is
// filled by one task; who fills the last stores the tree and fills the slot in the folder above.
struct OpenFolder {
  std::shared_ptr<OpenFolder> above;  // None: the root.
  std::size_t slot = 0;               // In `above`.
  std::string name;
  std::string path;               // Of the file system, for messages, excludes and opening.
  std::optional<Digest> earlier;  // Its tree in the parent snapshot.
  std::optional<Node> node;       // Its own metadata; none of the root.
  dev_t device = 0;               // Where its backup path began.
  // Below it only this changed since `earlier` was made. None: that is not known.
  const ChangeSet::Entry* changed = nullptr;
  bool is_same = false;  // It is the folder that the parent snapshot has at its place.
  Descriptor fd;
  std::unique_ptr<GiantFolder> giant;  // None: it is none.
  bool lost = false;                   // It could not be read: nothing of it is kept.
  std::vector<std::string> slots;      // Nodes as text; empty: left out, or kept.
  // The tree in the parent snapshot and, by slot, the nodes of it that stay; of no giant.
  std::optional<LoadedTree> earlier_tree;
  std::vector<std::string_view> kept;
  std::atomic<std::size_t> waiting{0};  // Slots not yet filled, and one for the listing itself.
};
using FolderPtr = std::shared_ptr<OpenFolder>;

class Walk {
 public:
  Walk(const Repository& repository, const BlobIndex& index, BlobSaver& saver,
       const ArchiveOptions& options, ArchiveProgress& progress, std::stop_token stop);

  // The number of the thread that is none of the pool's: the caller's, while nothing runs.
  unsigned caller() const noexcept { return options_.threads; }

  // Begins a folder that the file system has; its slot above is filled in time.
  void begin(FolderPtr folder);
  // A folder of which nothing below has changed: its tree is the one it had.
  // REQUIRES: folder->earlier.
  void take_earlier(const FolderPtr& folder);
  // The node, as text, of a backup path that is no folder, read on the caller's thread.
  std::string read_target(const std::string& path, const std::string& name,
                          const std::optional<Node>& earlier);
  // One of the slots is filled.
  void settle(const FolderPtr& folder, unsigned thread);
  void finish() { pool_.finish(); }

  // What a tree of the parent snapshot says of an entry.
  struct Earlier {
    const Node& node;
    std::string_view text;  // Exactly as we would write it, or empty.
    bool stays = false;     // The text is of the folder's own `earlier_tree`.
  };
  // Tells the nodes of a tree of the parent snapshot in its order; fewer when it cannot be read:
  // then files are read again.
  void read_earlier(const std::optional<Digest>& tree, unsigned thread,
                    const std::function<void(const Earlier&)>& use);
  void report(const std::string& path, const std::string& problem);

  OwnerNames& owners() noexcept { return owners_; }
  // The root's tree, once finished; the failure that ended the walk, if one did.
  std::optional<Digest> root;
  std::optional<Failure> failure() const;
  std::vector<std::string> problems;
  std::uint64_t problem_count = 0;
  std::vector<std::string> unread;  // The problems' paths.

 private:
  struct FileTask {
    std::size_t slot = 0;
    std::string name;
    bool is_file = false;
    bool is_known = false;  // To the parent snapshot.
    // What is known to have changed below it. None: nothing is known.
    const ChangeSet::Entry* changed = nullptr;
    bool may_be_gone = false;
  };
  struct Work {
    std::vector<FileTask> files;
    std::vector<FolderPtr> folders;
  };
  // What one thread of the pool owns.
  struct Worker {
    BlobCodec codec;
    ReadBuffer buffer;
    // Of the lot it reads: what comes after this file, the next one last.
    FolderPtr folder = nullptr;
    std::vector<FileTask> rest = {};
  };

  bool is_stopped() const {
    return stopped_.load(std::memory_order_relaxed) || stop_.stop_requested();
  }
  // What is claimed must be stored even when a stop was asked for: a partial snapshot may need it.
  bool is_failed() const { return stopped_.load(std::memory_order_relaxed); }
  void stop_with(Failure failure);

  void run_folder(const FolderPtr& folder, unsigned thread);
  Outcome<NameList> list(OpenFolder& folder);
  Descriptor open_folder(const OpenFolder& folder) const;
  bool load_earlier_tree(OpenFolder& folder, unsigned thread);
  void sort_entries(const FolderPtr& folder, const NameList& names, unsigned thread);
  // What is known to have changed at a name in the folder.
  static const ChangeSet::Entry* change_of(const OpenFolder& folder, const std::string& name);
  // The same of a folder of which it is known what changed. False: it has to be listed.
  bool sort_changes(const FolderPtr& folder, unsigned thread);
  // Whether the folder can be read lot by lot; then the first lot is on its way.
  bool begin_giant(const FolderPtr& folder, NameList& names, unsigned thread);
  void next_lot(const FolderPtr& folder, unsigned thread);
  // What the parent snapshot has of a name, which is behind the last.
  static bool find_earlier(GiantFolder& giant, std::string_view name);
  // A lot is done: true when the folder is not.
  bool end_lot(const FolderPtr& folder);
  void begin_work(const FolderPtr& folder, Work work);
  void store_giant(const FolderPtr& folder, unsigned thread);
  // Adds to `files` or `folders` what is work, fills the slot of what is not.
  void take_entry(const FolderPtr& folder, FileTask task, const Earlier* earlier, Work& work,
                  unsigned thread);
  // Whether a folder is a mount point of which only the point itself is wanted.
  bool stays_out(const OpenFolder& folder, const OpenFolder& below, const struct stat& info) const;
  // Fills the slot of a file that is as it was.
  void keep_entry(OpenFolder& folder, const FileTask& task, const Earlier& earlier,
                  const struct stat& info);
  // Counts a file that is as it was. False: it has to be read.
  bool is_as_it_was(const Earlier& earlier, const struct stat& info);
  // The text of its node, where it lies now.
  static std::string text_where_it_lies(const Earlier& earlier, const struct stat& info);
  FolderPtr open_below(const FolderPtr& folder, const FileTask& task, const Earlier* earlier,
                       const struct stat& info);
  void add_files(const FolderPtr& folder, std::vector<FileTask> files);
  void add_lot(const FolderPtr& folder, std::vector<FileTask> lot);
  // The rest of the lot goes to whoever is free: this file takes long.
  void give_away_rest(unsigned thread);
  void store_tree(const FolderPtr& folder, unsigned thread);
  // Whether all its nodes together are the tree that it had.
  static bool is_earlier_tree(const OpenFolder& folder);
  void keep_tree(const FolderPtr& folder, const Digest& id);

  std::string read_entry(const OpenFolder& folder, const FileTask& task, unsigned thread,
                         const std::string& name);
  Outcome<Node> read_node(const OpenFolder& folder, const FileTask& task, unsigned thread);
  Outcome<Node> read_file(const OpenFolder& folder, const std::string& name, unsigned thread);
  // Fills in the node's content and size with what is read.
  Outcome<void> read_content(int fd, const std::string& path, Node& node, unsigned thread);
  Outcome<void> read_chunks(int fd, const std::string& path, Node& node, std::size_t have,
                            unsigned thread);
  void take_chunk(View chunk, Node& node, unsigned thread);
  Digest store_chunk(View chunk, unsigned thread);
  void seal_chunk(const Digest& id, View chunk, unsigned thread);
  bool is_stored(const Node& earlier) const;

  const Repository& repository_;
  const BlobIndex& index_;
  BlobSaver& saver_;
  const ArchiveOptions& options_;
  ArchiveProgress& progress_;
  std::stop_token stop_;
  const ExcludeList excludes_;
  const Chunker chunker_;
  OwnerNames owners_;
  std::vector<Worker> workers_;

  std::atomic<std::size_t> sealing_bytes_{0};
  mutable std::mutex mutex_;
  std::optional<Failure> failure_;
  std::atomic<bool> stopped_{false};
  TaskPool pool_;  // Last: its threads use all of the above.
};

}  // namespace recover::backup
