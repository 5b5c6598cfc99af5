#include "backup/format/node.h"

#include <array>

#include "backup/format/base64.h"

namespace recover::backup {
namespace {

constexpr std::array<std::string_view, 7> kTypes = {"file",    "dir",  "symlink", "dev",
                                                    "chardev", "fifo", ""};
// os.FileMode's bits for what st_mode's twelve bits cannot say, by NodeType.
constexpr std::uint32_t kGoDevice = 1U << 26U;
constexpr std::array<std::uint32_t, 7> kGoType = {
    0, 1U << 31U, 1U << 27U, kGoDevice, kGoDevice | 1U << 21U, 1U << 25U, 0};
// st_mode's bit, FileMode's bit.
constexpr std::array<std::pair<std::uint32_t, std::uint32_t>, 3> kSpecial = {
    {{04000, 1U << 23U}, {02000, 1U << 22U}, {01000, 1U << 20U}}};

void append_key(std::string& out, std::string_view key) {
  out += ",\"";
  out += key;
  out += "\":";
}

void append_number_unless_zero(std::string& out, std::string_view key, std::uint64_t number) {
  if (number == 0) return;
  append_key(out, key);
  append_number(out, number);
}

void append_text_unless_empty(std::string& out, std::string_view key, std::string_view text) {
  if (text.empty()) return;
  append_key(out, key);
  append_json_string(out, text);
}

void append_time(std::string& out, std::string_view key, const Timestamp& time) {
  append_key(out, key);
  append_json_time(out, time);
}

// Whether encoding/json would have to replace a byte.
bool is_utf8(std::string_view text) {
  std::string json;
  append_json_string(json, text);
  return json.find("\\ufffd") == std::string::npos;
}

void append_link_target(std::string& out, const std::string& target) {
  if (target.empty()) return;
  append_text_unless_empty(out, "linktarget", target);
  if (is_utf8(target)) return;
  append_key(out, "linktarget_raw");
  append_json_string(out, base64(view_of(target)));
}

void append_attributes(std::string& out, const std::vector<ExtendedAttribute>& attributes) {
  if (attributes.empty()) return;
  append_key(out, "extended_attributes");
  char separator = '[';
  for (const ExtendedAttribute& attribute : attributes) {
    out += separator;
    separator = ',';
    out += "{\"name\":";
    append_json_string(out, attribute.name);
    out += ",\"value\":";
    append_json_string(out, base64(view_of(attribute.value)));
    out += '}';
  }
  out += ']';
}

void append_content(std::string& out, const Node& node) {
  append_key(out, "content");
  if (node.type != NodeType::File) {
    out += "null";
    return;
  }
  out += '[';
  for (std::size_t i = 0; i < node.content.size(); ++i) {
    if (i != 0) out += ',';
    out += '"';
    out += hex(node.content[i]);
    out += '"';
  }
  out += ']';
}

}  // namespace

std::string_view to_string(NodeType type) {
  return kTypes[static_cast<std::size_t>(type)];
}

NodeType parse_node_type(std::string_view text) {
  for (std::size_t i = 0; i + 1 < kTypes.size(); ++i) {
    if (kTypes[i] == text) return static_cast<NodeType>(i);
  }
  return NodeType::Other;
}

std::uint32_t go_mode(NodeType type, std::uint32_t mode) {
  std::uint32_t go = (mode & 0777U) | kGoType[static_cast<std::size_t>(type)];
  for (const auto& [posix, bit] : kSpecial) {
    if ((mode & posix) != 0) go |= bit;
  }
  return go;
}

std::uint32_t unix_mode(std::uint64_t go_mode) {
  std::uint32_t mode = go_mode & 0777U;
  for (const auto& [posix, bit] : kSpecial) {
    if ((go_mode & bit) != 0) mode |= posix;
  }
  return mode;
}

void append_node(std::string& out, const Node& node) {
  out += "{\"name\":";
  append_json_string(out, quote_name(node.name));
  append_key(out, "type");
  append_json_string(out, to_string(node.type));
  append_number_unless_zero(out, "mode", go_mode(node.type, node.mode));
  append_time(out, "mtime", node.mtime);
  append_time(out, "atime", node.atime);
  append_time(out, "ctime", node.ctime);
  append_key(out, "uid");
  append_number(out, node.uid);
  append_key(out, "gid");
  append_number(out, node.gid);
  append_text_unless_empty(out, "user", node.user);
  append_text_unless_empty(out, "group", node.group);
  append_number_unless_zero(out, "inode", node.inode);
  append_number_unless_zero(out, "device_id", node.device_id);
  append_number_unless_zero(out, "size", node.size);
  append_number_unless_zero(out, "links", node.links);
  append_link_target(out, node.link_target);
  append_attributes(out, node.attributes);
  append_number_unless_zero(out, "device", node.device);
  append_content(out, node);
  if (node.subtree) {
    append_key(out, "subtree");
    append_json_string(out, hex(*node.subtree));
  }
  out += '}';
}

}  // namespace recover::backup
