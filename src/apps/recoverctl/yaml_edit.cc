#include "apps/recoverctl/yaml_edit.h"

#include <yaml-cpp/yaml.h>

#include <cstddef>
#include <string_view>
#include <vector>

#include "config/near_miss.h"

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

// `value` as YAML text.
Edited added(std::string yaml, const YAML::Node& map, const std::string& key,
             const std::string& value) {
  if (!map.IsMap()) return cannot("\"" + key + "\" would be in something that is no mapping");
  const std::string entry = key + ": " + value;
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

// The mappings from parts[first] on that are not there yet: "{b: {c: value}}".
std::string nested(const std::vector<std::string>& parts, std::size_t first,
                   const std::string& value) {
  std::string text;
  for (std::size_t i = first; i < parts.size(); ++i) text += "{" + parts[i] + ": ";
  return text + scalar(value) + std::string(parts.size() - first, '}');
}

// "there is no a.b in the configuration (did you mean `a.c`?)", and what there is instead.
std::string no_such(const YAML::Node& node, const std::string& path, const std::string& part) {
  std::string text = "there is no " + path + " in the configuration";
  if (!node.IsMap()) return text;
  std::vector<std::string> keys;
  for (const auto& entry : node) keys.push_back(entry.first.Scalar());
  const std::vector<std::string_view> choices(keys.begin(), keys.end());
  text += config::did_you_mean(part, choices);
  std::string known;
  for (const std::string& key : keys) known += (known.empty() ? "" : ", ") + key;
  return text + "; at that place there are: " + known;
}

Edited replaced_or_added(const std::string& yaml, const std::string& path,
                         const std::string& value) {
  YAML::Node node = YAML::Load(yaml);
  const std::vector<std::string> parts = parts_of(path);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const YAML::Node child = child_of(node, parts[i]);
    const bool last = i + 1 == parts.size();
    if (!child.IsDefined() && last) return added(yaml, node, parts[i], scalar(value));
    if (!child.IsDefined()) return added(yaml, node, parts[i], nested(parts, i + 1, value));
    node.reset(child);
  }
  return replaced(yaml, node, value);
}

}  // namespace

Edited yaml_value(const std::string& yaml, const std::string& path) {
  try {
    YAML::Node node = YAML::Load(yaml);
    for (const std::string& part : parts_of(path)) {
      const YAML::Node child = child_of(node, part);
      if (!child.IsDefined()) return cannot(no_such(node, path, part));
      node.reset(child);
    }
    return node.IsScalar() ? node.Scalar() : YAML::Dump(node);
  } catch (const YAML::Exception&) {
    return cannot(
        "the configuration cannot be read as YAML; `recoverd check --config FILE` says why");
  }
}

Edited with_yaml_value(const std::string& yaml, const std::string& path, const std::string& value) {
  try {
    return replaced_or_added(yaml, path, value);
  } catch (const YAML::Exception& error) {
    return cannot("line " + std::to_string(error.mark.line + 1) +
                  " of the configuration cannot be edited; edit the file and reload");
  }
}

}  // namespace recover::apps
