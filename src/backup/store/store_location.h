// From what people write to a store: "/srv/repo", "local:/srv/repo", "sftp:user@host:/srv/repo",
// "s3:https://host/bucket/prefix", as restic has them.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backup/store/bandwidth.h"
#include "backup/store/store.h"
#include "base/secret.h"

namespace recover::backup {

// What the environment and the command line say of every store.
struct StoreWish {
  // restic's extended options: "s3.region", "s3.connections", "sftp.command", "sftp.args".
  std::map<std::string, std::string> options = {};
  BandwidthLimits bandwidth = {};
  std::string ca_file;  // Trusted for https; empty: what the system trusts.
  std::string access_key;
  base::Secret secret_key = {};
  base::Secret session_token = {};
  std::string region;
  bool append_only = false;
};

// Invalid: no such kind of location, or an option that means nothing; the message says what is
// known. Nothing is asked of the store yet.
Outcome<std::unique_ptr<Store>> open_store(const std::string& location, const StoreWish& wish);

}  // namespace recover::backup
