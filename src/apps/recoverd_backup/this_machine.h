// What snapshots say of where and when they were made.
#pragma once

#include <string>

#include "backup/format/go_text.h"

namespace recover::apps {

backup::Timestamp wall_time();
std::string this_host();
std::string this_user();
unsigned processors();  // At least one.

}  // namespace recover::apps
