// What backup commands say of snapshots, durations and lists.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include "apps/recoverctl/session.h"
#include "backup/repo/repository.h"

namespace recover::apps {

std::string time_text(const backup::Timestamp& time);
// As restic shows them.
std::string short_id(const backup::Digest& id);
// "3.1 MiB, 1.5 MiB/s".
std::string rate_text(std::uint64_t bytes, double seconds);
boost::json::array texts(const std::vector<std::string>& values);
boost::json::object snapshot_json(const backup::Repository::FoundSnapshot& found);
// Of "36h", "7d"; 0 of nothing. Throws Failure that names the option.
std::int64_t seconds_of(const std::string& option, const std::string& duration);

// To stderr, `count` of which `problems` are the first; with --json they stand in the document.
void tell_problems(const Session& session, const std::vector<std::string>& problems,
                   std::uint64_t count);
Exit exit_of(bool well);

}  // namespace recover::apps
