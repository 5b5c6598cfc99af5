// The file that says what a mirror consists of: "mirror:NAME" is /etc/recoverd/mirrors/NAME.yaml,
// "mirror:/a/path" that file.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "apps/recoverctl/backup_commands.h"
#include "backup/store/mirror/mirror_store.h"
#include "backup/store/store_location.h"

namespace recover::apps {

struct MirrorMemberWish {
  std::string name;  // primary, secondary, tertiary or emergency
  std::string repository;
  bool later = false;
  bool append_only = false;
};

struct MirrorFile {
  std::string state;                      // Where MirrorState is kept.
  std::vector<MirrorMemberWish> members;  // In that order.
};

// Throws Failure that names the file, the key and what it should be.
MirrorFile parse_mirror_file(const std::string& path, const std::string& text);
// Throws Failure.
std::unique_ptr<backup::MirrorStore> open_mirror(std::string_view name,
                                                 const backup::StoreWish& wish);

}  // namespace recover::apps
