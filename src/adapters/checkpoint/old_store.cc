#include "adapters/checkpoint/old_store.h"

#include <boost/json.hpp>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <exception>
#include <stdexcept>
#include <utility>

#include "adapters/checkpoint/json_fields.h"
#include "adapters/checkpoint/record.h"
#include "adapters/checkpoint/survey.h"

namespace recover::adapters::checkpoint {
namespace {

namespace json = boost::json;
using ports::CheckpointContents;
using ports::CheckpointFile;
using ports::FileKind;

FileKind kind_of(std::string_view text) {
  if (text == "directory") return FileKind::Directory;
  if (text == "file") return FileKind::Regular;
  if (text == "symlink") return FileKind::Symlink;
  if (text == "absent") return FileKind::Absent;
  throw std::invalid_argument("no kind of file");
}

// Throws what boost::json throws.
CheckpointFile old_file_from(const json::object& object) {
  CheckpointFile file{.path = text_at(object, "path"), .kind = kind_of(text_at(object, "kind"))};
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
    contents.files.push_back(old_file_from(file.as_object()));
    contents.info.files += contents.files.back().kind == FileKind::Regular ? 1 : 0;
    contents.info.bytes += contents.files.back().size;
  }
  for (const auto& path : object.at("not_held").as_array()) {
    contents.not_held.emplace_back(path.as_string());
  }
  return contents;
}

std::vector<timespec> times_of(const CheckpointFile& file) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  const std::int64_t rest = ((file.mtime_ns % kSecond) + kSecond) % kSecond;
  const timespec time{.tv_sec = (file.mtime_ns - rest) / kSecond, .tv_nsec = rest};
  return {time, time};
}

Done dress(const std::string& path, const CheckpointFile& file) {
  constexpr int kAsIs = AT_SYMLINK_NOFOLLOW;
  if (::geteuid() == 0 && ::fchownat(AT_FDCWD, path.c_str(), file.uid, file.gid, kAsIs) != 0) {
    return Unexpected(io_error("change the owner of", path));
  }
  if (file.kind != FileKind::Symlink && ::chmod(path.c_str(), file.mode) != 0) {
    return Unexpected(io_error("change the mode of", path));
  }
  if (::utimensat(AT_FDCWD, path.c_str(), times_of(file).data(), kAsIs) != 0) {
    return Unexpected(io_error("change the time of", path));
  }
  return {};
}

Done copy(const CheckpointFile& file, const std::string& root, const std::string& to) {
  const std::string from =
      root + "/objects/" + file.sha256.substr(0, 2) + "/" + file.sha256.substr(2);
  const Descriptor object(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!object && errno == ENOENT) {
    return Unexpected(CheckpointError{.fault = CheckpointFault::Corrupt,
                                      .message = "object " + from + " is missing",
                                      .path = file.path});
  }
  if (!object) return Unexpected(io_error("open", from));
  const Descriptor out(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!out) return Unexpected(io_error("create", to));
  const auto sha = read_through(object.get(), from, {}, [&](std::string_view bytes) {
    return write_all(out.get(), bytes, to);
  });
  if (!sha) return Unexpected(sha.error());
  if (*sha == file.sha256) return {};
  return Unexpected(CheckpointError{.fault = CheckpointFault::Corrupt,
                                    .message = "object " + from + " is damaged",
                                    .path = file.path});
}

Done make(const CheckpointFile& file, const std::string& root, const std::string& to) {
  switch (file.kind) {
    case FileKind::Absent: return {};
    case FileKind::Directory: return make_folders(to);
    case FileKind::Regular: return copy(file, root, to);
    case FileKind::Symlink:
      if (::symlink(file.target.c_str(), to.c_str()) == 0) return {};
      return Unexpected(io_error("create", to));
  }
  return {};
}

}  // namespace

Result<CheckpointContents, CheckpointError> decode_manifest(std::string_view text,
                                                            const std::string& path) {
  constexpr std::int64_t kFormat = 1;
  const auto failed = [&path](CheckpointFault fault) {
    return Unexpected(CheckpointError{.fault = fault,
                                      .message = path + " is no checkpoint of an earlier recoverd",
                                      .path = path});
  };
  const std::string_view body = body_of(text);
  if (body.empty()) return failed(CheckpointFault::Corrupt);
  try {
    const json::object object = parsed(body);
    if (object.at("format").to_number<std::int64_t>() != kFormat) {
      return failed(CheckpointFault::NotFound);
    }
    return contents_from(object);
  } catch (const std::exception&) {
    return failed(CheckpointFault::Corrupt);
  }
}

Done lay_out(const CheckpointContents& contents, const std::string& root,
             const std::string& folder) {
  for (const CheckpointFile& file : contents.files) {
    const std::string to = folder + file.path;
    Done done = make_folders(folder_of(to));
    if (done) done = make(file, root, to);
    if (!done) return done;
  }
  // Deepest first: what is made in a folder changes its time.
  for (auto file = contents.files.rbegin(); file != contents.files.rend(); ++file) {
    if (file->kind == FileKind::Absent) continue;
    if (auto done = dress(folder + file->path, *file); !done) return done;
  }
  return {};
}

}  // namespace recover::adapters::checkpoint
