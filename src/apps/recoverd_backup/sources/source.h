// What is backed up by asking for it instead of reading its files: a database or a git repository.
// One class a kind (postgres_source.h and its siblings); source_backup.h makes snapshots of what
// they give, source_drill.h proves that a backup can be started and asked.
//
// A source never says that a dump is whole when any doubt is left: no snapshot is better than half
// of one.
#pragma once

#include <boost/json/object.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "apps/recoverd_backup/sources/scratch_folder.h"
#include "backup/failure.h"
#include "core/backup_source.h"

namespace recover::apps {

// One file of a backup while it is read. One thread.
class Dump {
 public:
  Dump() = default;
  Dump(const Dump&) = delete;
  Dump& operator=(const Dump&) = delete;
  virtual ~Dump() = default;

  // How many bytes were put into `room`; 0: the end. Invalid: a stop was requested.
  virtual backup::Outcome<std::size_t> read(std::span<std::uint8_t> room) = 0;
  // Once, after the end. Failure: it is not whole, and why.
  virtual backup::Outcome<void> finish() = 0;
  // Where it is known and told to be a database's pages; else 0.
  virtual std::uint64_t size() const { return 0; }
};

struct DumpFile {
  std::string name;  // Without the source's own: "shop.dump".
  std::function<backup::Outcome<std::unique_ptr<Dump>>()> open;
};

// What became of a mirror.
struct RemoteReport {
  std::string remote;
  std::string error;  // Empty: it holds every branch and tag.
  std::uint64_t refs = 0;
  // There, and not in the repository; kept unless told to be removed.
  std::vector<std::string> gone;
};

struct DrillAnswer {
  std::string asked;
  std::string answer;
};

class Source {
 public:
  Source() = default;
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;
  virtual ~Source() = default;

  // Never to be told; longer ones first where one is part of another.
  virtual std::vector<std::string> secrets() const { return {}; }
  // What a backup of it consists of now. At least one.
  virtual backup::Outcome<std::vector<DumpFile>> files() = 0;
  // Whatever else it takes to keep it, after the snapshots were written.
  virtual std::vector<RemoteReport> mirror() { return {}; }
  // Starts it from what was restored (`files`, by their names in files(), in `folder`), asks, and
  // ends it. An empty query asks how much there is. Damaged: it does not start, or is not sound.
  virtual backup::Outcome<DrillAnswer> drill(const ScratchFolder& folder,
                                             const std::vector<std::string>& files,
                                             const std::string& query) = 0;
};

// `scratch`: an existing folder. REQUIRES: core::is_native(source), which outlives what is made.
std::unique_ptr<Source> make_source(const core::NativeSource& source, std::string scratch,
                                    std::stop_token stop);

}  // namespace recover::apps
