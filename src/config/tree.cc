#include "config/tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <exception>
#include <map>
#include <optional>
#include <sstream>
#include <unordered_map>
#include <utility>

namespace recover::config {
namespace {

constexpr std::size_t kFewKeys = 32;
constexpr std::size_t kShownMax = 60;  // Bytes of a value that a message repeats.

struct TooLarge {
  std::string message;
};

// As deep as the YAML library lets a document be.
std::size_t count(const Node& node) {  // NOLINT(misc-no-recursion)
  std::size_t nodes = 1;
  for (const Node& item : node.items) nodes += count(item);
  for (const Entry& entry : node.entries) nodes += count(entry.value);
  return nodes;
}

// Turns the library's events into nodes, one document at a time.
class TreeBuilder final : public YAML::EventHandler {
 public:
  TreeBuilder(std::uint32_t file, Documents& documents) : file_(file), documents_(documents) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    open_.clear();
    anchors_.clear();
    root_ = Node{};
    root_.place = place(mark);
  }
  void OnDocumentEnd() override { documents_.roots.push_back(std::move(root_)); }

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(made(Node::Kind::Null, mark), anchor);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node node = made(Node::Kind::Scalar, mark);
    node.plain = tag == "?" || tag.empty();
    node.text = value;
    add(std::move(node), anchor);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) {
      wrong(place(mark), "an alias cannot stand inside what it names");
      add(made(Node::Kind::Null, mark), 0);
      return;
    }
    spend(count(found->second));
    add(found->second, 0);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    open_.push_back({made(Node::Kind::List, mark), anchor, std::nullopt, {}});
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& /*tag*/, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    open_.push_back({made(Node::Kind::Map, mark), anchor, std::nullopt, {}});
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    Node node;
    YAML::anchor_t anchor = 0;
    std::optional<Node> key;  // Of a map: read, its value comes next.
    // Its keys, once there are too many to look through each time.
    std::unordered_map<std::string, std::size_t> keys{};

    const Entry* find(const std::string& text) {
      if (node.entries.size() < kFewKeys) return node.find(text);
      for (std::size_t i = keys.size(); i < node.entries.size(); ++i) {
        keys.emplace(node.entries[i].key, i);
      }
      const auto found = keys.find(text);
      return found == keys.end() ? nullptr : &node.entries[found->second];
    }
  };

  Place place(const YAML::Mark& mark) const {
    return {file_, std::max(0, mark.line) + 1, std::max(0, mark.column) + 1};
  }
  void wrong(Place where, std::string message) {
    documents_.mistakes.push_back({where, std::move(message)});
  }
  void spend(std::size_t nodes) {
    nodes_ += nodes;
    if (nodes_ > kNodesMax) throw TooLarge{"the file holds more than 200000 values"};
  }
  Node made(Node::Kind kind, const YAML::Mark& mark) {
    spend(1);
    Node node;
    node.kind = kind;
    node.place = place(mark);
    return node;
  }

  void close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    add(std::move(done.node), done.anchor);
  }

  void add(Node node, YAML::anchor_t anchor) {
    if (anchor != 0) {
      spend(count(node));  // It is kept twice from here on.
      anchors_[anchor] = node;
    }
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.kind == Node::Kind::List) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.key) {
      parent.key = std::move(node);
    } else {
      add_entry(parent, std::move(node));
    }
  }

  void add_entry(Open& parent, Node value) {
    const Node key = *std::exchange(parent.key, std::nullopt);
    if (key.kind != Node::Kind::Scalar) {
      wrong(key.place, "a key must be a word, found " + describe(key));
    } else if (const Entry* first = parent.find(key.text)) {
      wrong(key.place, "`" + key.text + "` is given twice, first at line " +
                           std::to_string(first->place.line));
    } else if (parent.node.entries.size() == kKeysMax) {
      throw TooLarge{"a map holds more than 10000 keys"};
    } else {
      parent.node.entries.push_back({key.text, key.place, std::move(value)});
    }
  }

  std::uint32_t file_;
  Documents& documents_;
  Node root_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, Node> anchors_;
  std::size_t nodes_ = 0;
};

void stop(Documents& documents, Place where, std::string message) {
  documents.complete = false;
  documents.mistakes.push_back({where, std::move(message)});
}

}  // namespace

const Entry* Node::find(std::string_view key) const noexcept {
  const auto found = std::ranges::find(entries, key, &Entry::key);
  return found == entries.end() ? nullptr : &*found;
}

std::string describe(const Node& node) {
  switch (node.kind) {
    case Node::Kind::Null: return "nothing";
    case Node::Kind::List: return "a list";
    case Node::Kind::Map: return "a map";
    case Node::Kind::Scalar: break;
  }
  if (node.text.size() <= kShownMax) return "`" + node.text + "`";
  return "`" + node.text.substr(0, kShownMax) + "…`";
}

Documents parse_documents(const std::string& text, std::uint32_t file) {
  Documents documents;
  if (text.size() > kTextMax) {
    stop(documents, {file, 1, 1}, "the file is larger than 4 MiB");
    return documents;
  }
  try {
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    TreeBuilder builder(file, documents);
    while (documents.roots.size() < kDocumentsMax && parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    const bool known = !error.mark.is_null();
    stop(documents, {file, known ? error.mark.line + 1 : 1, known ? error.mark.column + 1 : 1},
         "not valid YAML: " + error.msg);
  } catch (const TooLarge& large) {
    stop(documents, {file, 1, 1}, large.message);
  } catch (const std::exception& error) {
    stop(documents, {file, 1, 1}, std::string("not valid YAML: ") + error.what());
  }
  return documents;
}

}  // namespace recover::config
