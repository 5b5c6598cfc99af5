// A client of the price server that always has an answer: fresh, from the replica, or the last one.
//
//   fallback (last good answer) -> failover (primary, replica) -> pipeline -> pooled connection
#pragma once

#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <string>

#include <recover/cache.h>
#include <recover/failover.h>
#include <recover/operation.h>
#include <recover/pool.h>
#include <recover/result.h>
#include <recover/time.h>

#include "connection.h"
#include "policies.h"

namespace flaky {

enum class Source : std::uint8_t { Fresh, Replica, Cache };

struct Answer {
  std::string text;
  Source source = Source::Fresh;
};

// One server as the client sees it: an address and a few open connections.
class Upstream {
 public:
  Upstream(std::uint16_t port, std::size_t connections_max);

  // Within the context's deadline.
  recover::Result<std::string> price_of(const std::string& item,
                                        const recover::CallContext& context);

 private:
  recover::Pool<Connection> pool_;
};

// Any thread.
class Client {
 public:
  Client(std::uint16_t primary_port, std::uint16_t replica_port);

  // Errors: Cancelled on `stop`; otherwise only when nothing is remembered of the item either.
  recover::Result<Answer> ask(const std::string& item, const std::stop_token& stop);

  PrimaryPolicies& primary() noexcept { return primary_; }
  ReplicaPolicies& replica() noexcept { return replica_; }

 private:
  recover::Result<Answer> ask_primary(const std::string& item, const recover::CallContext& context);
  recover::Result<Answer> ask_replica(const std::string& item, const recover::CallContext& context);
  recover::Result<Answer> recall(const std::string& item);

  PrimaryPolicies primary_;
  ReplicaPolicies replica_;
  Upstream primary_server_;
  Upstream replica_server_;
  recover::FailoverChain failover_{failover_config()};
  recover::Cache<std::string, Answer> last_good_;
};

}  // namespace flaky
