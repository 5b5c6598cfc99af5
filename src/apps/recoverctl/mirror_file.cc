#include "apps/recoverctl/mirror_file.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "apps/recoverctl/failure.h"
#include "apps/recoverctl/repository_access.h"

namespace recover::apps {
namespace {

constexpr std::array<std::string_view, 4> kRoles = {"primary", "secondary", "tertiary",
                                                    "emergency"};
constexpr std::string_view kFolder = "/etc/recoverd/mirrors/";
constexpr std::string_view kStateFolder = "/var/lib/recoverd/mirrors/";

[[noreturn]] void refuse(const std::string& path, const YAML::Node& at, const std::string& what) {
  throw Failure(Exit::Usage, "MIRROR_FILE",
                path + ":" + std::to_string(at.Mark().line + 1) + ": " + what);
}

void check_keys(const std::string& path, const YAML::Node& map,
                const std::vector<std::string_view>& known) {
  std::string all;
  for (const std::string_view key : known) all += (all.empty() ? "" : ", ") + std::string(key);
  if (!map.IsMap()) refuse(path, map, "should have " + all);
  for (const auto& entry : map) {
    const auto key = entry.first.as<std::string>();
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      refuse(path, entry.first, "\"" + key + "\" is not known; known are " + all);
    }
  }
}

// What is there must be of that type.
template <class T>
T value_or(const YAML::Node& node, const T& otherwise) {
  return node ? node.as<T>() : otherwise;
}

MirrorMemberWish member_wish(const std::string& path, std::string_view name,
                             const YAML::Node& node) {
  if (node.IsScalar()) return {.name = std::string(name), .repository = node.as<std::string>()};
  check_keys(path, node, {"repository", "write", "append_only"});
  if (!node["repository"]) refuse(path, node, std::string(name) + " has no repository");
  MirrorMemberWish wish{.name = std::string(name),
                        .repository = node["repository"].as<std::string>()};
  const auto write = value_or<std::string>(node["write"], "together");
  if (write != "together" && write != "later") {
    refuse(path, node["write"], "write: together or later");
  }
  wish.later = write == "later";
  wish.append_only = value_or(node["append_only"], false);
  return wish;
}

std::string slurp_mirror(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in || !std::filesystem::is_regular_file(path)) {
    throw Failure(Exit::NoSuchThing, "NO_MIRROR", path + ": there is no such mirror file");
  }
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

}  // namespace

MirrorFile parse_mirror_file(const std::string& path, const std::string& text) {
  try {
    const YAML::Node root = YAML::Load(text);
    check_keys(path, root, {"state", "members"});
    MirrorFile file{.state = value_or<std::string>(root["state"], ""), .members = {}};
    const YAML::Node members = root["members"];
    if (!members) refuse(path, root, "has no members");
    check_keys(path, members, {kRoles.begin(), kRoles.end()});
    for (const std::string_view role : kRoles) {
      const YAML::Node member = members[std::string(role)];
      if (member) file.members.push_back(member_wish(path, role, member));
    }
    if (file.members.empty() || file.members.front().name != "primary") {
      refuse(path, members, "there is no primary");
    }
    if (file.members.front().later) refuse(path, members, "the primary is never written later");
    return file;
  } catch (const YAML::Exception& error) {
    throw Failure(Exit::Usage, "MIRROR_FILE",
                  path + ":" + std::to_string(error.mark.line + 1) + ": " + error.msg);
  }
}

std::unique_ptr<backup::MirrorStore> open_mirror(std::string_view name,
                                                 const backup::StoreWish& wish) {
  const bool is_path = name.find('/') != std::string_view::npos;
  const std::string path =
      is_path ? std::string(name) : std::string(kFolder) + std::string(name) + ".yaml";
  MirrorFile file = parse_mirror_file(path, slurp_mirror(path));
  if (file.state.empty()) {
    file.state =
        is_path ? path + ".state" : std::string(kStateFolder) + std::string(name) + ".json";
  }
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(file.state).parent_path(), ignored);
  std::vector<backup::MirrorMember> members;
  for (const MirrorMemberWish& member : file.members) {
    backup::StoreWish own = wish;
    own.append_only = wish.append_only || member.append_only;
    auto store = backup::open_store(member.repository, own);
    if (!store) throw failure_of(store.error());
    members.push_back({.name = member.name,
                       .store = std::move(*store),
                       .writes = member.later ? backup::MirrorMember::Writes::Later
                                              : backup::MirrorMember::Writes::Together,
                       .append_only = own.append_only});
  }
  return std::make_unique<backup::MirrorStore>(
      std::move(members),
      backup::MirrorOptions{.name = std::string(name), .state_path = file.state});
}

}  // namespace recover::apps
