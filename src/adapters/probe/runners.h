// The table of probe kinds: one line a kind, one file a kind.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <recover/result.h>

#include "adapters/probe/runner.h"
#include "adapters/probe/tree_memory.h"
#include "core/backup_plan.h"
#include "core/policy.h"

namespace boost::asio {
class io_context;
class thread_pool;
}  // namespace boost::asio

namespace recover::adapters::probe {

// Ratio used, from 0 to 1, or why it cannot be told. Any thread.
using Measure = std::function<Result<double, std::string>(const core::ResourceProbe&)>;
// How many processes of the probed service run by what its supervisor knows. Loop thread.
using Running = std::function<std::uint32_t()>;

// The processes of the probed service, each with all it started. Loop thread.
using Trees = std::function<std::vector<Tree>()>;

// What the runner of backups says of the probed one. Loop thread.
using Backups = std::function<core::BackupVerdict(const core::BackupProbe&)>;

// What runners work with; all outlive the runner.
struct Tools {
  boost::asio::io_context& loop;
  boost::asio::thread_pool& pool;  // For what blocks.
  Measure measure;
  Running running = {};
  Trees trees = {};
  Backups backups = {};
};

std::unique_ptr<ProbeRunner> make_http(const core::HttpProbe& probe, const Tools& tools);
std::unique_ptr<ProbeRunner> make_tcp(const core::TcpProbe& probe, const Tools& tools);
std::unique_ptr<ProbeRunner> make_exec(const core::ExecProbe& probe, const Tools& tools);
std::unique_ptr<ProbeRunner> make_process(const core::ProcessProbe& probe, const Tools& tools);
std::unique_ptr<ProbeRunner> make_file(const core::FileProbe& probe, const Tools& tools);
std::unique_ptr<ProbeRunner> make_postgres(const core::PostgresProbe& probe, const Tools& tools);
std::unique_ptr<ProbeRunner> make_redis(const core::RedisProbe& probe, const Tools& tools);
std::unique_ptr<ProbeRunner> make_resource(const core::ResourceProbe& probe, const Tools& tools);
std::unique_ptr<ProbeRunner> make_mysql(const core::MysqlProbe& probe, const Tools& tools);
std::unique_ptr<ProbeRunner> make_dns(const core::DnsProbe& probe, const Tools& tools);
std::unique_ptr<ProbeRunner> make_tls_expiry(const core::TlsExpiryProbe& probe, const Tools& tools);
std::unique_ptr<ProbeRunner> make_heartbeat(const core::HeartbeatProbe& probe, const Tools& tools);
std::unique_ptr<ProbeRunner> make_log(const core::LogProbe& probe, const Tools& tools);
std::unique_ptr<ProbeRunner> make_backup(const core::BackupProbe& probe, const Tools& tools);

std::unique_ptr<ProbeRunner> make_runner(const core::ProbeSpec& spec, const Tools& tools);

// A runner around a function that may block: it runs on the pool. `look` must not use the loop.
// `late`: what it means when it takes too long; empty: nothing, as it is the system that is slow.
std::unique_ptr<ProbeRunner> make_blocking(std::function<Finding()> look, std::string what,
                                           const Tools& tools, std::function<Finding()> late = {});

}  // namespace recover::adapters::probe
