#include "backup/format/tree.h"

#include <boost/json/basic_parser_impl.hpp>

#include <exception>
#include <limits>
#include <utility>

#include <recover/check.h>

#include "backup/format/base64.h"
#include "backup/format/node_scanner.h"

namespace recover::backup {
namespace {

namespace json = boost::json;

// Where in a tree's text the parser is.
enum class TreePlace : std::uint8_t {
  Outside,
  Root,
  Nodes,
  Node,
  Content,
  Attributes,
  Attribute,
  Skipped
};

enum class TreeField : std::uint8_t {
  None,
  Name,
  Type,
  Mode,
  Mtime,
  Atime,
  Ctime,
  Uid,
  Gid,
  User,
  Group,
  Inode,
  DeviceId,
  Size,
  Links,
  LinkTarget,
  LinkTargetRaw,
  Attributes,
  Device,
  Content,
  Subtree,
  Nodes,
  AttributeName,
  AttributeValue,
};

struct KeyName {
  std::string_view text;
  TreeField field;
};

constexpr KeyName kNodeKeys[] = {{"name", TreeField::Name},
                                 {"type", TreeField::Type},
                                 {"mode", TreeField::Mode},
                                 {"mtime", TreeField::Mtime},
                                 {"atime", TreeField::Atime},
                                 {"ctime", TreeField::Ctime},
                                 {"uid", TreeField::Uid},
                                 {"gid", TreeField::Gid},
                                 {"user", TreeField::User},
                                 {"group", TreeField::Group},
                                 {"inode", TreeField::Inode},
                                 {"device_id", TreeField::DeviceId},
                                 {"size", TreeField::Size},
                                 {"links", TreeField::Links},
                                 {"linktarget", TreeField::LinkTarget},
                                 {"linktarget_raw", TreeField::LinkTargetRaw},
                                 {"extended_attributes", TreeField::Attributes},
                                 {"device", TreeField::Device},
                                 {"content", TreeField::Content},
                                 {"subtree", TreeField::Subtree}};

constexpr KeyName kAttributeKeys[] = {{"name", TreeField::AttributeName},
                                      {"value", TreeField::AttributeValue}};

template <std::size_t N>
TreeField find_key(const KeyName (&keys)[N], std::string_view text) {
  for (const KeyName& key : keys) {
    if (key.text == text) return key.field;
  }
  return TreeField::None;
}

// The parser's view of a tree: it calls on_*, each false ends the parsing with `failure` set or
// `ec`.
class TreeHandler {
 public:
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_array_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_key_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_string_size = std::numeric_limits<std::size_t>::max();

  explicit TreeHandler(const std::function<Outcome<void>(backup::Node&&)>& use) : use_(use) {}

  std::optional<Failure> failure;
  std::exception_ptr thrown;  // By `use`: the parser may not be unwound.
  bool complete = false;

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }

  bool on_object_begin(json::error_code&) {
    const TreePlace inner = place_ == TreePlace::Outside      ? TreePlace::Root
                            : place_ == TreePlace::Nodes      ? TreePlace::Node
                            : place_ == TreePlace::Attributes ? TreePlace::Attribute
                                                              : TreePlace::Skipped;
    return enter(inner);
  }
  bool on_object_end(std::size_t, json::error_code&) {
    if (place_ == TreePlace::Node && !finish_node()) return false;
    if (place_ == TreePlace::Root) complete = seen_nodes_;
    leave();
    return true;
  }
  bool on_array_begin(json::error_code&) {
    if (place_ == TreePlace::Root && field_ == TreeField::Nodes) return enter(TreePlace::Nodes);
    if (place_ == TreePlace::Node && field_ == TreeField::Content) return enter(TreePlace::Content);
    if (place_ == TreePlace::Node && field_ == TreeField::Attributes)
      return enter(TreePlace::Attributes);
    return enter(TreePlace::Skipped);
  }
  bool on_array_end(std::size_t, json::error_code&) {
    if (place_ == TreePlace::Nodes) seen_nodes_ = true;
    leave();
    return true;
  }

  bool on_key_part(json::string_view part, std::size_t, json::error_code&) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool on_key(json::string_view part, std::size_t, json::error_code&) {
    text_.append(part.data(), part.size());
    field_ = place_ == TreePlace::Node                       ? find_key(kNodeKeys, text_)
             : place_ == TreePlace::Attribute                ? find_key(kAttributeKeys, text_)
             : place_ == TreePlace::Root && text_ == "nodes" ? TreeField::Nodes
                                                             : TreeField::None;
    text_.clear();
    return true;
  }
  bool on_string_part(json::string_view part, std::size_t, json::error_code&) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool on_string(json::string_view part, std::size_t, json::error_code&) {
    text_.append(part.data(), part.size());
    const bool good = place_ == TreePlace::Content     ? take_content()
                      : place_ == TreePlace::Attribute ? take_attribute()
                      : place_ == TreePlace::Node      ? take_text()
                                                       : true;
    text_.clear();
    return good;
  }

  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_uint64(std::uint64_t value, json::string_view, json::error_code&) {
    return place_ != TreePlace::Node || take_number(value);
  }
  bool on_int64(std::int64_t value, json::string_view, json::error_code&) {
    if (place_ != TreePlace::Node) return true;
    return value < 0 ? damaged("a number is negative")
                     : take_number(static_cast<std::uint64_t>(value));
  }
  bool on_double(double, json::string_view, json::error_code&) {
    return place_ != TreePlace::Node || field_ == TreeField::None ||
           damaged("a number is not whole");
  }
  bool on_bool(bool, json::error_code&) { return true; }
  bool on_null(json::error_code&) {
    if (place_ == TreePlace::Root && field_ == TreeField::Nodes)
      seen_nodes_ = true;  // Go's empty list.
    return true;
  }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

 private:
  bool enter(TreePlace inner) {
    above_.push_back(place_);
    place_ = inner;
    if (inner == TreePlace::Node) node_ = backup::Node();
    if (inner == TreePlace::Attribute) attribute_ = {};
    return true;
  }
  void leave() {
    if (place_ == TreePlace::Attribute) node_.attributes.push_back(std::move(attribute_));
    place_ = above_.back();
    above_.pop_back();
  }
  bool damaged(const std::string& what) {
    failure = Failure{.kind = FailureKind::Damaged, .message = "tree: " + what};
    return false;
  }

  bool finish_node() {
    try {
      if (auto used = use_(std::move(node_)); !used) {
        failure = std::move(used.error());
        return false;
      }
    } catch (...) {
      thrown = std::current_exception();
      return false;
    }
    return true;
  }

  bool take_content() {
    const auto digest = parse_digest(text_);
    if (!digest) return damaged("content names no blob: " + text_);
    node_.content.push_back(*digest);
    return true;
  }
  bool take_attribute() {
    if (field_ == TreeField::AttributeName) attribute_.name = text_;
    if (field_ != TreeField::AttributeValue) return true;
    const auto value = parse_base64(text_);
    if (!value)
      return damaged("the value of extended attribute " + attribute_.name + " is no base64");
    attribute_.value = text_of(*value);
    return true;
  }
  bool take_time(Timestamp& time) {
    const auto parsed = parse_time(text_);
    if (!parsed) return damaged("no time: " + text_);
    time = *parsed;
    return true;
  }
  bool take_name() {
    auto name = unquote_name(text_);
    if (!name) return damaged("a name is not quoted as names are: " + text_);
    node_.name = std::move(*name);
    return true;
  }
  bool take_subtree() {
    node_.subtree = parse_digest(text_);
    return node_.subtree ? true : damaged("subtree names no blob: " + text_);
  }
  bool take_raw_target() {
    const auto target = parse_base64(text_);
    if (!target) return damaged("linktarget_raw is no base64");
    node_.link_target = text_of(*target);
    return true;
  }

  bool take_text() {
    switch (field_) {
      case TreeField::Name: return take_name();
      case TreeField::Type: node_.type = parse_node_type(text_); return true;
      case TreeField::Mtime: return take_time(node_.mtime);
      case TreeField::Atime: return take_time(node_.atime);
      case TreeField::Ctime: return take_time(node_.ctime);
      case TreeField::User: node_.user = text_; return true;
      case TreeField::Group: node_.group = text_; return true;
      case TreeField::LinkTarget:
        // The raw form, when there is one, comes after it and wins.
        node_.link_target = text_;
        return true;
      case TreeField::LinkTargetRaw: return take_raw_target();
      case TreeField::Subtree: return take_subtree();
      case TreeField::None:
      case TreeField::Mode:
      case TreeField::Uid:
      case TreeField::Gid:
      case TreeField::Inode:
      case TreeField::DeviceId:
      case TreeField::Size:
      case TreeField::Links:
      case TreeField::Attributes:
      case TreeField::Device:
      case TreeField::Content:
      case TreeField::Nodes:
      case TreeField::AttributeName:
      case TreeField::AttributeValue: return true;
    }
    return true;
  }

  bool take_number(std::uint64_t value) {
    const auto narrow = static_cast<std::uint32_t>(value);
    switch (field_) {
      case TreeField::Mode: node_.mode = unix_mode(value); return true;
      case TreeField::Uid:
        node_.uid = narrow;
        return narrow == value || damaged("uid is too large");
      case TreeField::Gid:
        node_.gid = narrow;
        return narrow == value || damaged("gid is too large");
      case TreeField::Inode: node_.inode = value; return true;
      case TreeField::DeviceId: node_.device_id = value; return true;
      case TreeField::Size: node_.size = value; return true;
      case TreeField::Links: node_.links = value; return true;
      case TreeField::Device: node_.device = value; return true;
      case TreeField::None:
      case TreeField::Name:
      case TreeField::Type:
      case TreeField::Mtime:
      case TreeField::Atime:
      case TreeField::Ctime:
      case TreeField::User:
      case TreeField::Group:
      case TreeField::LinkTarget:
      case TreeField::LinkTargetRaw:
      case TreeField::Attributes:
      case TreeField::Content:
      case TreeField::Subtree:
      case TreeField::Nodes:
      case TreeField::AttributeName:
      case TreeField::AttributeValue: return true;
    }
    return true;
  }

  const std::function<Outcome<void>(backup::Node&&)>& use_;
  std::vector<TreePlace> above_;
  TreePlace place_ = TreePlace::Outside;
  TreeField field_ = TreeField::None;
  std::string text_;
  backup::Node node_;
  ExtendedAttribute attribute_;
  bool seen_nodes_ = false;
};

}  // namespace

void TreeText::add(const Node& node) {
  RECOVER_CHECK(is_safe_name(node.name) && node.name > last_);
  if (!std::exchange(empty_, false)) text_ += ',';
  append_node(text_, node);
  last_ = node.name;
}

void TreeText::add_text(std::string_view node) {
  if (!std::exchange(empty_, false)) text_ += ',';
  text_ += node;
}

std::string TreeText::finish() {
  text_ += "]}\n";
  std::string whole = std::move(text_);
  *this = TreeText();
  return whole;
}

namespace {

Outcome<void> parse_tree(std::string_view text, const std::function<Outcome<void>(Node&&)>& use) {
  json::basic_parser<TreeHandler> parser(json::parse_options(), use);
  json::error_code error;
  parser.write_some(false, text.data(), text.size(), error);
  TreeHandler& handler = parser.handler();
  if (handler.thrown) std::rethrow_exception(handler.thrown);
  if (handler.failure) return Unexpected(std::move(*handler.failure));
  if (error) return fail(FailureKind::Damaged, "tree: " + error.message());
  if (!handler.complete) return fail(FailureKind::Damaged, "tree: it has no list of nodes");
  return {};
}

}  // namespace

Outcome<void> read_tree_texts(
    std::string_view text,
    const std::function<Outcome<void>(Node&& node, std::string_view node_text)>& use) {
  NodeScanner scanner(text);
  std::size_t used = 0;
  while (auto node = scanner.next()) {
    if (auto done = use(std::move(*node), scanner.text()); !done) return done;
    ++used;
  }
  if (scanner.is_complete()) return {};
  std::size_t seen = 0;
  return parse_tree(text, [&](Node&& node) -> Outcome<void> {
    if (++seen <= used) return {};
    return use(std::move(node), {});
  });
}

Outcome<void> read_tree(std::string_view text, const std::function<Outcome<void>(Node&&)>& use) {
  return read_tree_texts(text, [&](Node&& node, std::string_view) { return use(std::move(node)); });
}

bool is_safe_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

}  // namespace recover::backup
