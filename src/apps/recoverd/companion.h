// The programs that come with recoverd: beside it, or in lib/recoverd of its prefix.
#pragma once

#include <string>
#include <vector>

namespace recover::apps {

// Where the program that runs is; with " (deleted)" once an upgrade has put another there.
std::string own_path();
// Where the companion may be, the likeliest first. REQUIRES: `self` is an absolute path.
std::vector<std::string> companion_places(const std::string& self, const std::string& name);
// The first of them that can be executed, or the first: whoever runs it says that it is not there.
std::string companion(const std::string& self, const std::string& name);

}  // namespace recover::apps
