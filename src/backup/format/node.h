// A node: what a tree knows of one entry of a folder; and the text of it, byte for byte restic's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backup/crypto/digest.h"
#include "backup/format/go_text.h"

namespace recover::backup {

enum class NodeType : std::uint8_t { File, Folder, Symlink, BlockDevice, CharDevice, Fifo, Other };

// "file", "dir", "symlink", "dev", "chardev", "fifo"; Other is what a foreign program may have
// written and nobody restores ("socket", "irregular").
std::string_view to_string(NodeType type);
NodeType parse_node_type(std::string_view text);

struct ExtendedAttribute {
  std::string name = {};
  std::string value = {};  // Raw bytes.

  friend bool operator==(const ExtendedAttribute&, const ExtendedAttribute&) = default;
};

struct Node {
  std::string name = {};  // Raw bytes as the file system has them; no '/'.
  NodeType type = NodeType::Other;
  std::uint32_t mode = 0;  // The lower twelve bits of st_mode: permissions, setuid, setgid, sticky.
  Timestamp mtime = {};
  Timestamp atime = {};
  Timestamp ctime = {};
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::string user = {};   // Empty: unknown.
  std::string group = {};  // Empty: unknown.
  std::uint64_t inode = 0;
  std::uint64_t device_id = 0;                     // st_dev.
  std::uint64_t size = 0;                          // Files: bytes read, the sum of the blobs.
  std::uint64_t links = 0;                         // 0 for folders and fifos.
  std::string link_target = {};                    // Raw bytes.
  std::vector<ExtendedAttribute> attributes = {};  // In the kernel's order.
  std::uint64_t device = 0;                        // st_rdev.
  std::vector<Digest> content = {};                // Files: data blobs in order.
  std::optional<Digest> subtree = {};              // Folders: a tree blob.

  friend bool operator==(const Node&, const Node&) = default;
};

// Appends the node as one JSON object without white space.
void append_node(std::string& out, const Node& node);

// Go's os.FileMode of a type and twelve bits of st_mode, and the twelve bits of a FileMode.
std::uint32_t go_mode(NodeType type, std::uint32_t mode);
std::uint32_t unix_mode(std::uint64_t go_mode);

}  // namespace recover::backup
