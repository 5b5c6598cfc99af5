#include "config/backup_place_tables.h"

#include <algorithm>
#include <array>
#include <utility>

#include "config/tables.h"

namespace recover::config {
namespace {

using namespace core;  // NOLINT(google-build-using-namespace): the table speaks its vocabulary.

constexpr std::array<std::string_view, 4> kRoles = {"primary", "secondary", "tertiary",
                                                    "emergency"};

void check_location(Reader& reader, const Node& node, const std::string& location) {
  if (location.starts_with("mirror:")) {
    reader.mistake(node.place,
                   "`mirror:NAME` is for recoverctl alone: here, `mirror: {primary: …, secondary: "
                   "…}` in place of `location`");
  }
  const bool is_local = !location.starts_with("s3:") && !location.starts_with("sftp:");
  const std::string path = location.starts_with("local:") ? location.substr(6) : location;
  if (is_local && !path.empty() && !path.starts_with('/') && !path.starts_with("mirror:")) {
    reader.mistake(node.place, "`location` must be an absolute path, `sftp:` or `s3:`");
  }
}

const Table<BackupMember>& member_table() {
  using P = BackupMember;
  static const auto kTable =
      Table<P>("One of the places of a mirror.")
          .add("location", &P::location, silent(text()), "As `restic -r` has it.", Need::Required)
          .add("access_key", &P::access_key, silent(text()), "Of S3.")
          .add("secret_key", &P::secret_key, silent(secret()), "Of S3.")
          .add("region", &P::region, silent(text()), "Of S3; none: the server says.")
          .add("ca_file", &P::ca_file, silent(absolute_path()), "Trusted for https.")
          .add("append_only", &P::append_only, flag(), "Nothing is removed but locks.")
          .add("write", &P::later, choice<bool>({{"together", false}, {"later", true}}),
               "With the others, or copied after the next backup and by `catch_up`.")
          .check([](Reader& reader, const Node& node, P& member) {
            if (const Entry* const at = node.find("location")) {
              check_location(reader, at->value, member.location);
            }
          });
  return kTable;
}

// A location, or a map.
Codec<BackupMember> member() {
  const auto table = object(member_table());
  Codec<BackupMember> codec;
  codec.shape = R"({"oneOf":[{"type":"string"},)" + table.shape + "]}";
  codec.read = [table](Reader& reader, const Node& node,
                       BackupMember member) -> std::optional<BackupMember> {
    if (node.kind == Node::Kind::Map) return table.read(reader, node, member);
    const auto location = text().read(reader, node, {});
    if (!location) return std::nullopt;
    member.location = *location;
    check_location(reader, node, member.location);
    return member;
  };
  return codec;
}

std::string mirror_shape() {
  std::string shape = R"({"type":"object","additionalProperties":false,"properties":{)";
  for (const std::string_view role : kRoles) {
    if (!shape.ends_with('{')) shape += ",";
    shape += json_string(role) + ":" + member().shape;
  }
  return shape + "}}";
}

void read_mirror(Reader& reader, const Entry& entry, BackupRepository& repository) {
  if (entry.value.kind != Node::Kind::Map) {
    reader.unexpected(entry.value, "a map of primary, secondary, tertiary and emergency");
    return;
  }
  for (const Entry& each : entry.value.entries) {
    if (std::ranges::find(kRoles, each.key) == kRoles.end()) {
      reader.mistake(each.place, "unknown key `" + each.key + "`" +
                                     did_you_mean(each.key, {kRoles.begin(), kRoles.end()}));
    }
  }
  for (const std::string_view role : kRoles) {
    const Entry* const at = entry.value.find(role);
    if (at == nullptr) continue;
    auto read = member().read(reader, at->value, {});
    if (!read) continue;
    read->name = role;
    repository.mirror.push_back(std::move(*read));
  }
  const Entry* const primary = entry.value.find("primary");
  if (primary == nullptr) reader.mistake(entry.place, "a `mirror` needs a `primary`");
  if (!repository.mirror.empty() && repository.mirror.front().later) {
    reader.mistake(entry.place, "the first of a `mirror` is never written later");
  }
}

void check_repository(Reader& reader, const Node& node, BackupRepository& repository) {
  if (const Entry* const at = node.find("location")) {
    check_location(reader, at->value, repository.location);
  }
  for (const char* const key : {"access_key", "secret_key", "region", "ca_file"}) {
    const Entry* const at = node.find(key);
    if (at == nullptr || !node.has("mirror")) continue;
    reader.mistake(at->place, "`" + std::string(key) + "` is of the members of a `mirror`");
  }
  if (const Entry* const at = node.find("mirror_grace"); at != nullptr && !node.has("mirror")) {
    reader.mistake(at->place, "`mirror_grace` is for a `mirror`");
  }
}

}  // namespace

const Table<BackupRepository>& backup_repository_table() {
  using P = BackupRepository;
  static const auto kTable =
      Table<P>("A repository in restic's format.")
          .add("location", &P::location, silent(text()), "As `restic -r` has it.")
          .add("mirror", mirror_shape(), "Up to four places that hold the same.", read_mirror)
          .add("mirror_grace", &P::mirror_grace, duration(minutes{1}),
               "A member of the mirror that lacks something for longer is a failure.")
          .add("password", &P::password, silent(secret()), "Without it nothing can be read.",
               Need::Required)
          .add("access_key", &P::access_key, silent(text()), "Of S3.")
          .add("secret_key", &P::secret_key, silent(secret()), "Of S3.")
          .add("region", &P::region, silent(text()), "Of S3; none: the server says.")
          .add("ca_file", &P::ca_file, silent(absolute_path()), "Trusted for https.")
          .add("upload", &P::upload, silent(size(1024)), "Bytes a second; none: no limit.")
          .add("download", &P::download, silent(size(1024)), "Bytes a second; none: no limit.")
          .add("append_only", &P::append_only, flag(), "Nothing is removed but locks.")
          .add("unread_for", &P::unread_for, duration(),
               "Nothing stays unread for longer: each verification reads its share; 0s: it reads "
               "everything.")
          .exactly_one({"location", "mirror"})
          .check(check_repository);
  return kTable;
}

namespace {

const Table<BackupLoad>& pause_table() {
  using P = BackupLoad;
  static const auto kTable =
      Table<P>("From what pressure a run pauses: shares of time in which something had to wait.")
          .add("cpu", &P::pause_cpu, ratio(), "For a processor.")
          .add("memory", &P::pause_memory, ratio(), "For memory.")
          .add("io", &P::pause_io, ratio(), "For a disk.");
  return kTable;
}

}  // namespace

const Table<BackupLoad>& backup_load_table() {
  using P = BackupLoad;
  static const auto kTable =
      Table<P>("How much of the machine a run may take.")
          .add("nice", &P::nice, whole<int>(-20, 19), "Below 0 needs CAP_SYS_NICE.")
          .add("ionice", &P::ionice, object(ionice_table()), {})
          .add("upload", &P::upload, silent(size(1024)),
               "Bytes a second to the store; none: what the repository says.")
          .add("download", &P::download, silent(size(1024)),
               "Bytes a second from the store; none: what the repository says.")
          .group("pause_on", pause_table())
          .add("pause_max", &P::pause_max, duration(),
               "A run pauses no longer than this, all together, nor than half its `rpo`.");
  return kTable;
}

}  // namespace recover::config
