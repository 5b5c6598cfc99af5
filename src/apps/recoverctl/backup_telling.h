// Words that several backup commands say.
#pragma once

#include <boost/json/array.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include "apps/recoverctl/session.h"
#include "backup/crypto/digest.h"

namespace recover::apps {

inline constexpr std::size_t kShortId = 8;  // As restic shows them.

std::string short_id(const backup::Digest& id);
// "3.1 MiB, 1.5 MiB/s".
std::string rate_text(std::uint64_t bytes, double seconds);
boost::json::array texts(const std::vector<std::string>& values);
// To stderr, `count` of which `problems` are the first; with --json they stand in the document.
void tell_problems(const Session& session, const std::vector<std::string>& problems,
                   std::uint64_t count);
Exit exit_of(bool well);

}  // namespace recover::apps
