#include "journal/stage_file.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "journal/file.h"

namespace recover::journal {
namespace {

using ports::JournalError;
using ports::JournalFault;

// Of a kind that SQLite neither locks nor looks for a database to.
constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_SUPER_JOURNAL;

}  // namespace

void StageFile::Close::operator()(sqlite3_file* file) const {
  if (file->pMethods != nullptr) (void)file->pMethods->xClose(file);
  std::free(file);
}

Result<StageFile, JournalError> StageFile::open(const std::string& path, const std::string& vfs) {
  StageFile stage;
  stage.path_ = path;
  // SQLite would make it readable for others.
  const Descriptor made(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!made) return Unexpected(system_error("create", path));
  sqlite3_vfs* const layer = sqlite3_vfs_find(vfs.empty() ? nullptr : vfs.c_str());
  if (layer == nullptr) return Unexpected(stage.error(SQLITE_NOTFOUND, "open"));
  // Zeroed: a file that could not be opened has no methods.
  stage.file_.reset(
      static_cast<sqlite3_file*>(std::calloc(1, static_cast<std::size_t>(layer->szOsFile))));
  if (!stage.file_) return Unexpected(stage.error(SQLITE_NOMEM, "open"));
  int granted = 0;
  const int code = layer->xOpen(layer, stage.path_.c_str(), stage.file_.get(), kFlags, &granted);
  if (code != SQLITE_OK) return Unexpected(stage.error(code, "open"));
  return stage;
}

Result<std::string, JournalError> StageFile::read(std::size_t size_max) const {
  sqlite3_int64 size = 0;
  int code = file_->pMethods->xFileSize(file_.get(), &size);
  if (code != SQLITE_OK) return Unexpected(error(code, "size"));
  std::string text(std::min(static_cast<std::size_t>(size), size_max), '\0');
  if (text.empty()) return text;
  code = file_->pMethods->xRead(file_.get(), text.data(), static_cast<int>(text.size()), 0);
  if (code != SQLITE_OK) return Unexpected(error(code, "read"));
  return text;
}

Result<void, JournalError> StageFile::write(std::uint64_t offset, std::string_view bytes) const {
  const int code =
      file_->pMethods->xWrite(file_.get(), bytes.data(), static_cast<int>(bytes.size()),
                              static_cast<sqlite3_int64>(offset));
  if (code != SQLITE_OK) return Unexpected(error(code, "write"));
  return {};
}

Result<void, JournalError> StageFile::truncate() const {
  const int code = file_->pMethods->xTruncate(file_.get(), 0);
  if (code != SQLITE_OK) return Unexpected(error(code, "truncate"));
  return {};
}

JournalError StageFile::error(int code, std::string_view doing) const {
  return {.message = "journal " + path_ + ": " + std::string(doing) + ": " + sqlite3_errstr(code) +
                     " (" + std::to_string(code) + ")",
          .fault = (code & 0xff) == SQLITE_FULL ? JournalFault::Full : JournalFault::Io};
}

}  // namespace recover::journal
