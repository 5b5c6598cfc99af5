#include "apps/recoverctl/yaml_edit.h"

#include <yaml-cpp/yaml.h>

#include <cstddef>
#include <string_view>
#include <vector>

namespace recover::apps {

namespace {

using Edited = Result<std::string, std::string>;

Unexpected<std::string> cannot(const std::string& why) {
  return Unexpected<std::string>(why);
}

std::vector<std::string> parts_of(std::string_view path) {
  std::vector<std::string> parts;
  while (true) {
    const auto dot = path.find('.');
    parts.emplace_back(path.substr(0, dot));
    if (dot == std::string_view::npos) return parts;
    path.remove_prefix(dot + 1);
  }
}

YAML::Node child_of(const YAML::Node& node, const std::string& key) {
  if (node.IsSequence()) {
    const bool number = !key.empty() && key.find_first_not_of("0123456789") == std::string::npos;
    return number && key.size() < 6 ? node[std::stoul(key)] : YAML::Node(YAML::NodeType::Undefined);
  }
  if (!node.IsMap()) return YAML::Node(YAML::NodeType::Undefined);
  return node[key];
}

// How many bytes the scalar at `at` takes in the text, quotes included; 0: not a simple one.
std::size_t length_in(const std::string& yaml, std::size_t at, const std::string& value) {
  if (at >= yaml.size()) return 0;
  if (yaml[at] != '"' && yaml[at] != '\'') {
    return yaml.compare(at, value.size(), value) == 0 ? value.size() : 0;
  }
  const char quote = yaml[at];
  for (std::size_t end = at + 1; end < yaml.size(); ++end) {
    if (quote == '"' && yaml[end] == '\\') {
      ++end;
    } else if (yaml[end] == quote) {
      return end - at + 1;
    }
  }
  return 0;
}

// As a plain scalar if that reads back as the same text, else quoted.
std::string scalar(const std::string& value) {
  try {
    const YAML::Node node = YAML::Load("k: " + value);
    if (node.IsMap() && node["k"].IsScalar() && node["k"].Scalar() == value &&
        value.find_first_of(",]}#") == std::string::npos) {
      return value;
    }
  } catch (const YAML::Exception&) {
    // Needs quotes.
  }
  std::string quoted = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

Edited replaced(std::string yaml, const YAML::Node& node, const std::string& value) {
  if (!node.IsScalar()) return cannot("that is not a single value; edit the file and reload");
  const auto at = static_cast<std::size_t>(node.Mark().pos);
  const std::size_t length = length_in(yaml, at, node.Scalar());
  if (length == 0) return cannot("that value spans lines; edit the file and reload");
  yaml.replace(at, length, scalar(value));
  return yaml;
}

Edited added(std::string yaml, const YAML::Node& map, const std::string& key,
             const std::string& value) {
  if (!map.IsMap()) return cannot("\"" + key + "\" would be in something that is no mapping");
  const std::string entry = key + ": " + scalar(value);
  if (map.Style() == YAML::EmitterStyle::Flow) {
    const auto at = static_cast<std::size_t>(map.Mark().pos) + 1;
    yaml.insert(at, entry + (map.size() == 0 ? "" : ", "));
    return yaml;
  }
  if (map.size() == 0) return cannot("the mapping is empty; edit the file and reload");
  const YAML::Mark first = map.begin()->first.Mark();
  const std::string indent(static_cast<std::size_t>(first.column), ' ');
  yaml.insert(static_cast<std::size_t>(first.pos), entry + "\n" + indent);
  return yaml;
}

Edited replaced_or_added(const std::string& yaml, const std::string& path,
                         const std::string& value) {
  YAML::Node node = YAML::Load(yaml);
  const std::vector<std::string> parts = parts_of(path);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const YAML::Node child = child_of(node, parts[i]);
    const bool last = i + 1 == parts.size();
    if (!child.IsDefined() && last) return added(yaml, node, parts[i], value);
    if (!child.IsDefined()) {
      return cannot("there is no " + parts[i] + " in the configuration to set " + path + " in");
    }
    node.reset(child);
  }
  return replaced(yaml, node, value);
}

}  // namespace

Edited yaml_value(const std::string& yaml, const std::string& path) {
  try {
    YAML::Node node = YAML::Load(yaml);
    for (const std::string& part : parts_of(path)) node.reset(child_of(node, part));
    if (!node.IsDefined()) return cannot("there is no " + path + " in the configuration");
    return node.IsScalar() ? node.Scalar() : YAML::Dump(node);
  } catch (const YAML::Exception& error) {
    return cannot("there is no " + path + " in the configuration: " + error.what());
  }
}

Edited with_yaml_value(const std::string& yaml, const std::string& path, const std::string& value) {
  try {
    return replaced_or_added(yaml, path, value);
  } catch (const YAML::Exception& error) {
    return cannot(std::string("the configuration cannot be edited: ") + error.what());
  }
}

}  // namespace recover::apps
