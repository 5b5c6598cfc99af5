#include "backup/store/mirror/mirror_state.h"

#include <boost/json.hpp>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

#include "backup/local/file.h"

namespace recover::backup {
namespace {

namespace json = boost::json;

constexpr mode_t kStateMode = 0600;
constexpr FileKind kRemovable[] = {FileKind::Key, FileKind::Index, FileKind::Snapshot,
                                   FileKind::Pack};

std::string slurp_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// The 22nd field of /proc/PID/stat, counted behind the name in brackets, which may hold anything.
std::string start_time_of(const std::string& pid) {
  const std::string text = slurp_text("/proc/" + pid + "/stat");
  const std::size_t bracket = text.rfind(')');
  if (bracket == std::string::npos) return {};
  std::istringstream fields(text.substr(bracket + 1));
  std::string field;
  for (int i = 0; i < 20; ++i) fields >> field;
  return field;
}

std::string own_name() {
  const std::string pid = std::to_string(::getpid());
  return pid + " " + start_time_of(pid);
}

bool is_alive(const std::string& writer) {
  const std::size_t space = writer.find(' ');
  if (space == std::string::npos) return false;
  return start_time_of(writer.substr(0, space)) == writer.substr(space + 1);
}

std::optional<FileName> name_of(std::string_view text) {
  const std::size_t space = text.find(' ');
  if (space == std::string_view::npos) return std::nullopt;
  const auto id = parse_digest(text.substr(space + 1));
  for (const FileKind kind : kRemovable) {
    if (id && text.substr(0, space) == to_string(kind)) return FileName{.kind = kind, .id = *id};
  }
  return std::nullopt;
}

json::object object_of(const MemberRecord& member) {
  json::array removals;
  for (const FileName& name : member.missed_removals) removals.emplace_back(to_string(name));
  return {{"behind", member.behind},
          {"held", member.held},
          {"why", member.why},
          {"since", member.since},
          {"missed_removals", std::move(removals)}};
}

// Throws what boost::json throws of what is not as it should be.
MemberRecord member_of(const json::object& object) {
  MemberRecord member;
  member.behind = object.at("behind").as_bool();
  member.held = object.at("held").as_bool();
  member.why = json::value_to<std::string>(object.at("why"));
  member.since = json::value_to<std::int64_t>(object.at("since"));
  for (const json::value& text : object.at("missed_removals").as_array()) {
    if (const auto name = name_of(text.as_string())) member.missed_removals.push_back(*name);
  }
  return member;
}

MirrorRecord record_of(const std::string& text) {
  MirrorRecord record;
  const json::object object = json::parse(text).as_object();
  for (const auto& [name, value] : object.at("members").as_object()) {
    record.members[std::string(name)] = member_of(value.as_object());
  }
  for (const json::value& writer : object.at("writers").as_array()) {
    record.writers.push_back(json::value_to<std::string>(writer));
  }
  return record;
}

}  // namespace

MirrorRecord MirrorState::read_file() const {
  try {
    return record_of(slurp_text(path_));
  } catch (const std::exception&) {
    return {};  // Nothing is known: every member is compared.
  }
}

Outcome<void> MirrorState::write_file(const MirrorRecord& record) const {
  json::object members;
  for (const auto& [name, member] : record.members) members[name] = object_of(member);
  json::array writers;
  for (const std::string& writer : record.writers) writers.emplace_back(writer);
  const std::string text = json::serialize(
      json::object{{"members", std::move(members)}, {"writers", std::move(writers)}});
  const std::string temporary = path_ + ".new";
  const Descriptor file(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kStateMode));
  const bool written = file && write_all(file.get(), view_of(text)) && ::fsync(file.get()) == 0;
  if (!written || ::rename(temporary.c_str(), path_.c_str()) != 0) {
    return system_failure("writing", path_);
  }
  return {};
}

MirrorRecord MirrorState::load() {
  const std::lock_guard guard(mutex_);
  return path_.empty() ? here_ : read_file();
}

Outcome<void> MirrorState::change(const std::function<void(MirrorRecord&)>& how) {
  const std::lock_guard guard(mutex_);
  if (path_.empty()) {
    how(here_);
    return {};
  }
  const std::string lock = path_ + ".lock";
  const Descriptor held(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kStateMode));
  if (!held || ::flock(held.get(), LOCK_EX) != 0) return system_failure("locking", lock);
  MirrorRecord record = read_file();
  how(record);
  return write_file(record);
}

Outcome<void> MirrorState::begin_writing() {
  return change([](MirrorRecord& record) { record.writers.push_back(own_name()); });
}

void MirrorState::end_writing() {
  // Not said: the next one compares, which costs time and nothing else.
  (void)change([](MirrorRecord& record) {
    const auto own = std::find(record.writers.begin(), record.writers.end(), own_name());
    if (own != record.writers.end()) record.writers.erase(own);
  });
}

bool MirrorState::has_dead_writer(const MirrorRecord& record) {
  return !std::all_of(record.writers.begin(), record.writers.end(), is_alive);
}

void MirrorState::forget_dead_writers(MirrorRecord& record) {
  std::erase_if(record.writers, [](const std::string& writer) { return !is_alive(writer); });
}

}  // namespace recover::backup
