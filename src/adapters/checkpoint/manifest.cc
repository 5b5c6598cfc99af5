#include "adapters/checkpoint/manifest.h"

#include <boost/json.hpp>

#include <array>
#include <exception>
#include <optional>
#include <utility>

namespace recover::adapters::checkpoint {
namespace {

namespace json = boost::json;
using ports::CheckpointContents;
using ports::CheckpointFile;
using ports::FileKind;

constexpr std::int64_t kFormat = 1;
constexpr std::size_t kIdDigits = 32;
constexpr std::string_view kSumMark = "\nsha256:";
constexpr std::array<std::pair<FileKind, std::string_view>, 4> kKinds = {{
    {FileKind::Directory, "directory"},
    {FileKind::Regular, "file"},
    {FileKind::Symlink, "symlink"},
    {FileKind::Absent, "absent"},
}};

std::string_view kind_name(FileKind kind) {
  for (const auto& [value, name] : kKinds) {
    if (value == kind) return name;
  }
  return "";
}

std::optional<FileKind> kind_of(std::string_view text) {
  for (const auto& [value, name] : kKinds) {
    if (name == text) return value;
  }
  return std::nullopt;
}

void put(Sha256& sha, std::string_view field) {
  sha.add(std::to_string(field.size()));
  sha.add(":");
  sha.add(field);
}

std::string digest_of(std::string_view text) {
  Sha256 sha;
  sha.add(text);
  return sha.hex();
}

json::object to_json(const CheckpointFile& file) {
  json::object out{{"path", file.path}, {"kind", kind_name(file.kind)}};
  if (file.kind == FileKind::Absent) return out;
  out["mode"] = file.mode;
  out["uid"] = file.uid;
  out["gid"] = file.gid;
  out["mtime_ns"] = file.mtime_ns;
  if (file.kind == FileKind::Symlink) out["target"] = file.target;
  if (file.kind == FileKind::Regular) {
    out["size"] = file.size;
    out["sha256"] = file.sha256;
  }
  return out;
}

std::string text_at(const json::object& object, std::string_view key) {
  return std::string(object.at(key).as_string());
}

// Throws what boost::json throws.
CheckpointFile file_from(const json::object& object) {
  CheckpointFile file;
  file.path = text_at(object, "path");
  file.kind = kind_of(text_at(object, "kind")).value();
  if (file.kind == FileKind::Absent) return file;
  file.mode = object.at("mode").to_number<std::uint32_t>();
  file.uid = object.at("uid").to_number<std::uint32_t>();
  file.gid = object.at("gid").to_number<std::uint32_t>();
  file.mtime_ns = object.at("mtime_ns").to_number<std::int64_t>();
  if (file.kind == FileKind::Symlink) file.target = text_at(object, "target");
  if (file.kind == FileKind::Regular) {
    file.size = object.at("size").to_number<std::uint64_t>();
    file.sha256 = text_at(object, "sha256");
  }
  return file;
}

CheckpointContents contents_from(const json::object& object) {
  CheckpointContents contents;
  contents.info.id = text_at(object, "id");
  contents.info.service = text_at(object, "service");
  contents.info.wall_ns = object.at("wall_ns").to_number<std::int64_t>();
  for (const auto& path : object.at("paths").as_array()) {
    contents.info.paths.emplace_back(path.as_string());
  }
  for (const auto& fact : object.at("facts").as_array()) {
    contents.info.facts.emplace_back(fact.as_array().at(0).as_string(),
                                     fact.as_array().at(1).as_string());
  }
  for (const auto& file : object.at("files").as_array()) {
    contents.files.push_back(file_from(file.as_object()));
    contents.info.files += contents.files.back().kind == FileKind::Regular ? 1 : 0;
    contents.info.bytes += contents.files.back().size;
  }
  for (const auto& path : object.at("not_held").as_array()) {
    contents.not_held.emplace_back(path.as_string());
  }
  return contents;
}

}  // namespace

std::string id_of(const CheckpointContents& contents) {
  Sha256 sha;
  put(sha, "recoverd checkpoint 1");
  put(sha, contents.info.service);
  put(sha, std::to_string(contents.info.paths.size()));
  for (const std::string& path : contents.info.paths) put(sha, path);
  for (const CheckpointFile& file : contents.files) {
    put(sha, file.path);
    put(sha, kind_name(file.kind));
    put(sha, std::to_string(file.mode));
    put(sha, std::to_string(file.uid));
    put(sha, std::to_string(file.gid));
    put(sha, file.target);
    put(sha, file.sha256);
  }
  return sha.hex().substr(0, kIdDigits);
}

std::string encode(const CheckpointContents& contents) {
  json::array facts;
  for (const auto& [name, value] : contents.info.facts) facts.push_back(json::array{name, value});
  json::array files;
  for (const CheckpointFile& file : contents.files) files.push_back(to_json(file));
  const json::object object{
      {"format", kFormat},
      {"id", contents.info.id},
      {"service", contents.info.service},
      {"wall_ns", contents.info.wall_ns},
      {"paths", json::array(contents.info.paths.begin(), contents.info.paths.end())},
      {"facts", std::move(facts)},
      {"files", std::move(files)},
      {"not_held", json::array(contents.not_held.begin(), contents.not_held.end())}};
  const std::string text = json::serialize(object);
  return text + std::string(kSumMark) + digest_of(text) + "\n";
}

Result<CheckpointContents, CheckpointError> decode(std::string_view text, const std::string& path) {
  const auto damaged = [&path](std::string_view why) {
    return Unexpected(CheckpointError{.fault = CheckpointFault::Corrupt,
                                      .message = "checkpoint " + path + " " + std::string(why),
                                      .path = path});
  };
  const std::size_t mark = text.rfind(kSumMark);
  if (mark == std::string_view::npos) return damaged("is cut off");
  const std::string_view body = text.substr(0, mark);
  if (text.substr(mark) != std::string(kSumMark) + digest_of(body) + "\n") {
    return damaged("is damaged");
  }
  try {
    json::parse_options options;
    options.allow_invalid_utf8 = true;  // File names are bytes.
    const json::value value = json::parse({body.data(), body.size()}, {}, options);
    if (value.at("format").to_number<std::int64_t>() != kFormat) {
      return damaged("is of a later recoverd");
    }
    CheckpointContents contents = contents_from(value.as_object());
    if (id_of(contents) != contents.info.id) return damaged("does not have the content of its id");
    return contents;
  } catch (const std::exception&) {
    return damaged("is no checkpoint");
  }
}

}  // namespace recover::adapters::checkpoint
