// What backup commands say of snapshots, durations and lists.
#pragma once

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include "backup/repo/repository.h"

namespace recover::apps {

std::string time_text(const backup::Timestamp& time);
// As restic shows them.
std::string short_id(const backup::Digest& id);
boost::json::array texts(const std::vector<std::string>& values);
boost::json::object snapshot_json(const backup::Repository::FoundSnapshot& found);
// Of "36h", "7d"; 0 of nothing. Throws Failure that names the option.
std::int64_t seconds_of(const std::string& option, const std::string& duration);

}  // namespace recover::apps
