#include "adapters/probe/runners.h"

#include <variant>

#include "base/overloaded.h"

namespace recover::adapters::probe {

std::unique_ptr<ProbeRunner> make_runner(const core::ProbeSpec& spec, const Tools& tools) {
  return std::visit(
      base::Overloaded{
          [&](const core::HttpProbe& probe) { return make_http(probe, tools); },
          [&](const core::TcpProbe& probe) { return make_tcp(probe, tools); },
          [&](const core::ExecProbe& probe) { return make_exec(probe, tools); },
          [&](const core::ProcessProbe& probe) { return make_process(probe, tools); },
          [&](const core::FileProbe& probe) { return make_file(probe, tools); },
          [&](const core::PostgresProbe& probe) { return make_postgres(probe, tools); },
          [&](const core::RedisProbe& probe) { return make_redis(probe, tools); },
          [&](const core::ResourceProbe& probe) { return make_resource(probe, tools); },
          [&](const core::MysqlProbe& probe) { return make_mysql(probe, tools); },
          [&](const core::DnsProbe& probe) { return make_dns(probe, tools); },
          [&](const core::TlsExpiryProbe& probe) { return make_tls_expiry(probe, tools); },
          [&](const core::HeartbeatProbe& probe) { return make_heartbeat(probe, tools); },
          [&](const core::LogProbe& probe) { return make_log(probe, tools); },
          [&](const core::BackupProbe& probe) { return make_backup(probe, tools); },
      },
      spec);
}

}  // namespace recover::adapters::probe
