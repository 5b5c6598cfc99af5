// The store that a job names: one place, or several that hold the same repository.
#pragma once

#include <boost/json/array.hpp>

#include <memory>
#include <stop_token>

#include "apps/recoverd_backup/job.h"
#include "backup/store/mirror/mirror_store.h"
#include "backup/store/store.h"

namespace recover::apps {

struct JobStore {
  std::unique_ptr<backup::Store> store;
  backup::MirrorStore* mirror = nullptr;  // It, when it is one.
};

// Invalid: no such kind of location. Nothing is asked of the stores yet.
backup::Outcome<JobStore> open_job_store(const Job& job);

// Brings to the members what little they lack, for a minute at most: the task of that name brings
// the rest. `later`: also to those that are written later. Who stays behind is told in status().
backup::CatchUpReport catch_up_shortly(backup::MirrorStore& mirror, bool later,
                                       const std::stop_token& stop);

}  // namespace recover::apps
