#include "adapters/backup/scratch.h"

#include <boost/asio/io_context.hpp>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "adapters/backup/whole_file.h"

namespace recover::adapters::backup {
namespace {

constexpr std::string_view kPrefix = "recoverd-scratch-";
constexpr std::string_view kNote = ".place";

std::string name_in(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

enum class Place : std::uint8_t { Ours, NotOurs, Away };

// A note is believed only for a folder that can be one of ours. What is not there may be on a disk
// that is not mounted.
Place look_at(const std::string& path) {
  if (!path.starts_with('/') || !name_in(path).starts_with(kPrefix)) return Place::NotOurs;
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return Place::Away;
  const bool is_ours = S_ISDIR(info.st_mode) && info.st_uid == ::geteuid();
  return is_ours ? Place::Ours : Place::NotOurs;
}

}  // namespace

Scratch::Scratch(boost::asio::io_context& loop, std::string folder,
                 std::function<void(const std::string&)> problem)
    : loop_(loop), folder_(std::move(folder)), problem_(std::move(problem)) {}

// What is under way then is gone on with by the next open().
Scratch::~Scratch() {
  for (const auto& sweeper : sweepers_) sweeper->abandon();
}

void Scratch::open() {
  static_cast<void>(::mkdir(folder_.c_str(), 0700));  // What uses it says what is wrong.
  std::vector<std::string> left;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder_, error), end; !error && at != end;
       at.increment(error)) {
    const std::string path = at->path().string();
    const auto noted = path.ends_with(kNote) ? read_whole(path) : std::nullopt;
    const Place place = noted ? look_at(*noted) : Place::NotOurs;
    if (place == Place::NotOurs) left.push_back(path);
    if (place == Place::Ours) sweep({*noted}, path);
  }
  sweep(left, {});
}

std::string Scratch::note_of(const std::string& path) const {
  return folder_ + "/" + name_in(path) + std::string(kNote);
}

Result<std::string, std::string> Scratch::make(const std::string& place) {
  std::string path = (place.empty() ? folder_ : place) + "/" + std::string(kPrefix) + "XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) {
    return Unexpected("no scratch folder can be made in " + (place.empty() ? folder_ : place) +
                      ": " + std::generic_category().message(errno));
  }
  if (place.empty()) return path;
  if (auto noted = write_whole(note_of(path), path); !noted) {
    static_cast<void>(::rmdir(path.c_str()));
    return Unexpected(std::move(noted.error()));
  }
  return path;
}

void Scratch::remove(const std::string& path) {
  // Nearly always: the worker removes what it made.
  if (::rmdir(path.c_str()) == 0) {
    static_cast<void>(::unlink(note_of(path).c_str()));
    return;
  }
  if (errno == ENOENT || errno == ENOTDIR) return;  // Its disk is away: the note stays.
  sweep({path}, note_of(path));
}

// The note goes when all of it is gone: till then the next open() tries again.
void Scratch::sweep(const std::vector<std::string>& paths, const std::string& note) {
  if (paths.empty()) return;
  std::erase_if(sweepers_, [](const auto& sweeper) { return sweeper->pid() == 0; });
  clients::ChildSpec spec{.command = {"rm", "-rf", "--one-file-system", "--"}, .folder = "/"};
  spec.command.insert(spec.command.end(), paths.begin(), paths.end());
  auto sweeper = clients::ChildRun::start(
      loop_, std::move(spec), [problem = problem_, note](const clients::ChildEnd& end) {
        if (end.good() && !note.empty()) static_cast<void>(::unlink(note.c_str()));
        if (!end.good()) problem("scratch was not removed: " + end.text() + ": " + end.output);
      });
  if (sweeper) {
    sweepers_.push_back(std::move(*sweeper));
  } else {
    problem_("scratch was not removed: rm: " + std::generic_category().message(sweeper.error()));
  }
}

}  // namespace recover::adapters::backup
