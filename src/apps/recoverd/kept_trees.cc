#include "apps/recoverd/kept_trees.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <string>
#include <utility>

namespace recover::apps {
namespace {

using adapters::process::Descriptor;

constexpr const char* kLabel = "configuration-trees";

// Empty: it cannot be read whole.
std::string content_of(const Descriptor& file) {
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0 || status.st_size <= 0) return {};
  if (static_cast<std::size_t>(status.st_size) > config::TreeMemory::kBytesMax) return {};
  std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
  const ssize_t size = ::pread(file.get(), bytes.data(), bytes.size(), 0);
  if (size != status.st_size) bytes.clear();
  return bytes;
}

// A build of recoverd: its version, and the file's size and time. Empty: not known.
std::string program_mark() {
  struct stat status {};
  if (::stat("/proc/self/exe", &status) != 0) return {};
  return RECOVER_VERSION " " + std::to_string(status.st_size) + " " +
         std::to_string(status.st_mtim.tv_sec) + "." + std::to_string(status.st_mtim.tv_nsec);
}

}  // namespace

std::unique_ptr<config::TreeMemory> take_trees(adapters::process::KeeperLink& keeper) {
  return std::make_unique<config::TreeMemory>(content_of(keeper.take(kLabel)), program_mark());
}

void keep_trees(adapters::process::KeeperLink& keeper, const config::TreeMemory& trees) {
  if (!keeper.connected() || !trees.changed()) return;
  const std::string bytes = trees.bytes();
  const Descriptor file(::memfd_create("recoverd-trees", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file || bytes.size() > config::TreeMemory::kBytesMax) return;
  const ssize_t size = ::write(file.get(), bytes.data(), bytes.size());
  if (size != static_cast<ssize_t>(bytes.size())) return;
  ::fcntl(file.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
  keeper.store(kLabel, file.get());
}

void forget_trees(adapters::process::KeeperLink& keeper) {
  keeper.drop(kLabel);
}

}  // namespace recover::apps
