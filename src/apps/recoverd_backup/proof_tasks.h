// What a worker does to know that a repository holds what it should: read it, restore from it, and
// bring to the members of a mirror what they lack.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <ostream>
#include <stop_token>
#include <string>
#include <vector>

#include "apps/recoverd_backup/job.h"
#include "apps/recoverd_backup/job_store.h"
#include "backup/repo/repository.h"

namespace recover::apps {

struct ProofTask {
  const Job& job;
  const JobStore& store;
  const backup::Repository& repository;
  const Door& door;
  std::ostream& out;  // For how it goes.
};

// Every byte, or what was not read for so long; of a mirror in each member, damage of one mended
// from the others. Damaged: something stays wrong.
backup::Outcome<boost::json::object> verify(const ProofTask& task, const std::stop_token& stop);
// See restore_task.h and drill_task.h.
backup::Outcome<boost::json::object> prove(const ProofTask& task, const std::stop_token& stop);
backup::Outcome<boost::json::object> drill(const ProofTask& task, const std::stop_token& stop);
// Done also when members stay behind: they are told, and how long they may is the daemon's to say.
backup::Outcome<boost::json::object> catch_up(const ProofTask& task, const std::stop_token& stop);

// Each member's state: "sound", "behind", or "later" of one that is copied to; why, and since when.
boost::json::array members_told(const backup::MirrorStore& mirror);

// Those of this host and type, whole ones, oldest first.
backup::Outcome<std::vector<backup::Repository::FoundSnapshot>> snapshots_of_type(
    const backup::Repository& repository, const std::string& type);

}  // namespace recover::apps
