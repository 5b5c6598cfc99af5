// The folders in which runs restore and dump: one a run, made before it and removed after it,
// whatever became of it and of us.
//
// Removing may take long, so a process of its own does it. Invariant: a folder elsewhere is noted
// among ours before anything is put in it, so that the next recoverd finds what this one left.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <recover/result.h>

#include "clients/child_run.h"

namespace boost::asio {
class io_context;
}

namespace recover::adapters::backup {

// Loop thread.
class Scratch {
 public:
  // `loop` outlives it. `folder` is ours alone; made when it is not there.
  Scratch(boost::asio::io_context& loop, std::string folder,
          std::function<void(const std::string&)> problem);
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch();

  // Removes what was left behind.
  void open();
  // A new folder, closed to others: below `place`, or below ours when that is empty. Error: why
  // not.
  Result<std::string, std::string> make(const std::string& place);
  // REQUIRES: made by make(), and nobody uses it any more.
  void remove(const std::string& path);

 private:
  void sweep(const std::vector<std::string>& paths, const std::string& note);
  std::string note_of(const std::string& path) const;

  boost::asio::io_context& loop_;
  std::string folder_;
  std::function<void(const std::string&)> problem_;
  std::vector<std::shared_ptr<clients::ChildRun>> sweepers_;
};

}  // namespace recover::adapters::backup
