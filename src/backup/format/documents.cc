#include "backup/format/documents.h"

#include <algorithm>

#include "backup/format/base64.h"
#include "backup/format/json_object.h"

namespace recover::backup {
namespace {

constexpr int kNewestVersion = 2;

template <std::size_t N>
void copy_exactly(const Bytes& from, std::array<std::uint8_t, N>& to, ObjectFields& fields,
                  std::string_view key) {
  if (from.size() != N) return fields.blame(key, "has the wrong length");
  std::copy(from.begin(), from.end(), to.begin());
}

std::string summary_text(const SnapshotSummary& summary) {
  return ObjectText()
      .time("backup_start", summary.backup_start)
      .time("backup_end", summary.backup_end)
      .number("files_new", summary.files_new)
      .number("files_changed", summary.files_changed)
      .number("files_unmodified", summary.files_unmodified)
      .number("dirs_new", summary.folders_new)
      .number("dirs_changed", summary.folders_changed)
      .number("dirs_unmodified", summary.folders_unmodified)
      .number("data_blobs", summary.data_blobs)
      .number("tree_blobs", summary.tree_blobs)
      .number("data_added", summary.data_added)
      .number("data_added_packed", summary.data_added_packed)
      .number("total_files_processed", summary.files_processed)
      .number("total_bytes_processed", summary.bytes_processed)
      .finish();
}

SnapshotSummary read_summary(ObjectFields& fields) {
  return {.backup_start = fields.time("backup_start"),
          .backup_end = fields.time("backup_end"),
          .files_new = fields.number_or_zero("files_new"),
          .files_changed = fields.number_or_zero("files_changed"),
          .files_unmodified = fields.number_or_zero("files_unmodified"),
          .folders_new = fields.number_or_zero("dirs_new"),
          .folders_changed = fields.number_or_zero("dirs_changed"),
          .folders_unmodified = fields.number_or_zero("dirs_unmodified"),
          .data_blobs = fields.number_or_zero("data_blobs"),
          .tree_blobs = fields.number_or_zero("tree_blobs"),
          .data_added = fields.number_or_zero("data_added"),
          .data_added_packed = fields.number_or_zero("data_added_packed"),
          .files_processed = fields.number_or_zero("total_files_processed"),
          .bytes_processed = fields.number_or_zero("total_bytes_processed")};
}

}  // namespace

std::string text_of(const RepositoryConfig& config) {
  return ObjectText()
      .number("version", static_cast<std::uint64_t>(config.version))
      .text("id", config.id)
      .text("chunker_polynomial", config.polynomial.hex())
      .finish();
}

std::string text_of(const KeyFile& key) {
  return ObjectText()
      .time("created", key.created)
      .text("username", key.user)
      .text("hostname", key.host)
      .text("kdf", "scrypt")
      .number("N", key.cost.n)
      .number("r", key.cost.r)
      .number("p", key.cost.p)
      .text("salt", base64(key.salt))
      .text("data", base64(key.sealed))
      .finish();
}

std::string text_of(const Lock& lock) {
  return ObjectText()
      .time("time", lock.time)
      .boolean("exclusive", lock.exclusive)
      .text("hostname", lock.host)
      .text("username", lock.user)
      .number("pid", static_cast<std::uint64_t>(lock.pid))
      .number_unless_zero("uid", lock.uid)
      .number_unless_zero("gid", lock.gid)
      .text_unless_empty("pid_space", lock.pid_space)
      .finish();
}

std::string text_of(const Snapshot& snapshot) {
  ObjectText text;
  text.time("time", snapshot.time);
  if (snapshot.parent) text.text("parent", hex(*snapshot.parent));
  text.text("tree", hex(snapshot.tree))
      .texts("paths", snapshot.paths)
      .text_unless_empty("hostname", snapshot.host)
      .text_unless_empty("username", snapshot.user)
      .number_unless_zero("uid", snapshot.uid)
      .number_unless_zero("gid", snapshot.gid)
      .texts_unless_empty("excludes", snapshot.excludes)
      .texts_unless_empty("tags", snapshot.tags);
  if (snapshot.original) text.text("original", hex(*snapshot.original));
  text.text_unless_empty("program_version", snapshot.program_version);
  if (snapshot.summary) text.raw("summary", summary_text(*snapshot.summary));
  return text.finish();
}

std::string text_of(const MasterKey& key) {
  const std::string mac =
      ObjectText().text("k", base64(key.mac_k)).text("r", base64(key.mac_r)).finish();
  return ObjectText().raw("mac", mac).text("encrypt", base64(key.encrypt)).finish();
}

Outcome<RepositoryConfig> parse_config(std::string_view text) {
  auto parsed = ObjectFields::parse(text, "config");
  if (!parsed) return Unexpected(std::move(parsed.error()));
  ObjectFields& fields = *parsed;
  const std::uint64_t version = fields.number("version");
  const auto polynomial = Polynomial::parse(fields.text("chunker_polynomial"));
  if (!polynomial) fields.blame("chunker_polynomial", "is not irreducible of degree 53");
  std::string id = fields.text("id");
  if (auto verdict = fields.verdict(); !verdict) return Unexpected(std::move(verdict.error()));
  if (version < 1 || version > kNewestVersion) {
    return fail(FailureKind::Unsupported,
                "config: repository version " + std::to_string(version) + " is not known here");
  }
  return RepositoryConfig{
      .version = static_cast<int>(version), .id = std::move(id), .polynomial = *polynomial};
}

Outcome<KeyFile> parse_key_file(std::string_view text) {
  auto parsed = ObjectFields::parse(text, "key file");
  if (!parsed) return Unexpected(std::move(parsed.error()));
  ObjectFields& fields = *parsed;
  if (fields.text("kdf") != "scrypt") fields.blame("kdf", "is not scrypt");
  KeyFile key{.created = fields.time("created"),
              .user = fields.text_or_empty("username"),
              .host = fields.text_or_empty("hostname"),
              .cost = {.n = fields.number("N"),
                       .r = static_cast<std::uint32_t>(
                           std::min<std::uint64_t>(fields.number("r"), 0xffffffffU)),
                       .p = static_cast<std::uint32_t>(
                           std::min<std::uint64_t>(fields.number("p"), 0xffffffffU))},
              .salt = fields.base64("salt"),
              .sealed = fields.base64("data")};
  if (key.salt.size() != kSaltBytes) fields.blame("salt", "has the wrong length");
  if (auto verdict = fields.verdict(); !verdict) return Unexpected(std::move(verdict.error()));
  return key;
}

Outcome<Lock> parse_lock(std::string_view text) {
  auto parsed = ObjectFields::parse(text, "lock");
  if (!parsed) return Unexpected(std::move(parsed.error()));
  ObjectFields& fields = *parsed;
  Lock lock{.time = fields.time("time"),
            .exclusive = fields.boolean_or_false("exclusive"),
            .host = fields.text_or_empty("hostname"),
            .user = fields.text_or_empty("username"),
            .pid = static_cast<std::int64_t>(fields.number_or_zero("pid")),
            .uid = static_cast<std::uint32_t>(fields.number_or_zero("uid")),
            .gid = static_cast<std::uint32_t>(fields.number_or_zero("gid")),
            .pid_space = fields.text_or_empty("pid_space")};
  if (auto verdict = fields.verdict(); !verdict) return Unexpected(std::move(verdict.error()));
  return lock;
}

Outcome<Snapshot> parse_snapshot(std::string_view text) {
  auto parsed = ObjectFields::parse(text, "snapshot");
  if (!parsed) return Unexpected(std::move(parsed.error()));
  ObjectFields& fields = *parsed;
  Snapshot snapshot{.time = fields.time("time"),
                    .parent = fields.digest_or_none("parent"),
                    .tree = fields.digest("tree"),
                    .paths = fields.texts_or_empty("paths"),
                    .host = fields.text_or_empty("hostname"),
                    .user = fields.text_or_empty("username"),
                    .uid = static_cast<std::uint32_t>(fields.number_or_zero("uid")),
                    .gid = static_cast<std::uint32_t>(fields.number_or_zero("gid")),
                    .excludes = fields.texts_or_empty("excludes"),
                    .tags = fields.texts_or_empty("tags"),
                    .original = fields.digest_or_none("original"),
                    .program_version = fields.text_or_empty("program_version"),
                    .summary = std::nullopt};
  if (auto summary = fields.object_or_none("summary")) snapshot.summary = read_summary(*summary);
  if (auto verdict = fields.verdict(); !verdict) return Unexpected(std::move(verdict.error()));
  return snapshot;
}

Outcome<MasterKey> parse_master_key(std::string_view text) {
  auto parsed = ObjectFields::parse(text, "master key");
  if (!parsed) return Unexpected(std::move(parsed.error()));
  ObjectFields& fields = *parsed;
  ObjectFields mac = fields.object("mac");
  MasterKey key;
  copy_exactly(fields.base64("encrypt"), key.encrypt, fields, "encrypt");
  copy_exactly(mac.base64("k"), key.mac_k, fields, "mac.k");
  copy_exactly(mac.base64("r"), key.mac_r, fields, "mac.r");
  if (auto verdict = fields.verdict(); !verdict) return Unexpected(std::move(verdict.error()));
  return key;
}

}  // namespace recover::backup
