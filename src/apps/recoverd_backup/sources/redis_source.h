// Redis by the transfer a replica gets: we ask for SYNC and keep the RDB that comes, straight into
// a snapshot. No file is written on the server unless its own `repl-diskless-sync` says so.
//
// `redis-cli --rdb` does the same into a file; it does not look at what came (end mark, checksum).
#pragma once

#include "apps/recoverd_backup/sources/source.h"

namespace recover::apps {

std::unique_ptr<Source> make_redis_source(const core::RedisSource& source, std::stop_token stop);

}  // namespace recover::apps
