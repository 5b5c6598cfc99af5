// One entry of a snapshot made again in an open folder.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "backup/failure.h"
#include "backup/format/node.h"
#include "backup/local/entry.h"

namespace recover::backup {

// The plaintext of a blob, valid until the next is asked for.
using BlobSource = std::function<Outcome<View>(const Digest&)>;

struct WriteOptions {
  bool sparse = false;
  bool owners = true;
};

// The length of a blob's plaintext; none when no index knows it.
using BlobLength = std::function<std::optional<std::uint64_t>(const Digest&)>;

// Whether the folder has a regular file of that name, under no second one, with exactly the node's
// content.
bool has_content(int folder, const Node& node, const BlobLength& lengths);

// Where the content of a file comes from.
struct ContentSource {
  BlobSource blobs;
  BlobLength lengths;
  // Makes a source for a second thread, which then writes half of what is left of a large file; an
  // empty one while nobody is free to. None: nobody ever is.
  std::function<BlobSource()> second = nullptr;
};

// The content under a temporary name, then metadata, then the name: replaces what has it but a
// folder. Returns the number of bytes.
Outcome<std::uint64_t> write_file(int folder, const Node& node, const ContentSource& source,
                                  const WriteOptions& options);
// A link, device or fifo; replaces what has its name but a folder.
Outcome<void> write_special(int folder, const Node& node, const WriteOptions& options);
// Another name for a file that is restored.
Outcome<void> write_hard_link(int from_folder, const std::string& from_name, int folder,
                              const std::string& name);
struct OpenedFolder {
  Descriptor fd;
  bool is_new = false;  // Made now: nothing is in it.
};
// Makes the folder, or takes the one that is there; open, to be finished by set_metadata().
Outcome<OpenedFolder> open_new_folder(int above, const Node& node);
// Owner, mode, extended attributes and times of an open file or folder. The first thing that fails
// is the answer; the others are set all the same.
Outcome<void> set_metadata(int fd, const Node& node, const WriteOptions& options);

}  // namespace recover::backup
