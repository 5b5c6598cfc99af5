#include "apps/recoverd_backup/sources/scratch_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "backup/local/file.h"

namespace recover::apps {
namespace {

std::string of_process(int descriptor, std::string_view name) {
  return "/proc/self/fd/" + std::to_string(descriptor) + "/" + std::string(name);
}

bool give_to(const std::string& path, const Account* owner) {
  return owner == nullptr || ::chown(path.c_str(), owner->uid, owner->gid) == 0;
}

}  // namespace

backup::Outcome<ScratchFolder> ScratchFolder::make(const std::string& within,
                                                   const Account* owner) {
  if (within.empty()) {
    return backup::fail(backup::FailureKind::Invalid, "a database needs a `scratch` folder");
  }
  ScratchFolder folder;
  std::string name = within + "/recoverd-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) return backup::system_failure("making", name);
  folder.path_ = name;
  folder.folder_ = posix::Descriptor(::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.folder_ || !give_to(name, owner)) return backup::system_failure("opening", name);
  return folder;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;
  if (folder_) std::filesystem::remove_all(path_, ignored);
}

backup::Outcome<void> ScratchFolder::make_folder(const std::string& name,
                                                 const Account* owner) const {
  const std::string path = *this / name;
  if (::mkdir(path.c_str(), 0700) != 0 || !give_to(path, owner)) {
    return backup::system_failure("making", path);
  }
  return {};
}

backup::Outcome<void> ScratchFolder::write(const std::string& name, std::string_view text,
                                           const Account* owner) const {
  const std::string path = *this / name;
  const posix::Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  const backup::View bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  if (!file || !backup::write_all(file.get(), bytes) || !give_to(path, owner)) {
    return backup::system_failure("writing", path);
  }
  return {};
}

std::string ScratchFolder::handed(std::string_view name) {
  return of_process(ProgramSpec::kHandedFirst, name);
}

std::string ScratchFolder::by_descriptor(std::string_view name) const {
  return of_process(folder_.get(), name);
}

}  // namespace recover::apps
