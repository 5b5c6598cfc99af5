#include "core/policy.h"

#include <algorithm>

#include "base/overloaded.h"

namespace recover::core {

ProbeKind kind_of(const ProbeSpec& spec) {
  return std::visit(base::Overloaded{
                        [](const HttpProbe&) { return ProbeKind::Http; },
                        [](const TcpProbe&) { return ProbeKind::Tcp; },
                        [](const ExecProbe&) { return ProbeKind::Exec; },
                        [](const ProcessProbe&) { return ProbeKind::Process; },
                        [](const FileProbe&) { return ProbeKind::File; },
                        [](const PostgresProbe&) { return ProbeKind::Postgres; },
                        [](const RedisProbe&) { return ProbeKind::Redis; },
                        [](const ResourceProbe&) { return ProbeKind::Resource; },
                        [](const MysqlProbe&) { return ProbeKind::Mysql; },
                        [](const DnsProbe&) { return ProbeKind::Dns; },
                        [](const TlsExpiryProbe&) { return ProbeKind::TlsExpiry; },
                        [](const HeartbeatProbe&) { return ProbeKind::Heartbeat; },
                        [](const LogProbe&) { return ProbeKind::Log; },
                        [](const BackupProbe&) { return ProbeKind::Backup; },
                    },
                    spec);
}

ServiceKind kind_of(const ServiceSpec& spec) {
  return std::visit(base::Overloaded{
                        [](const RunSpec&) { return ServiceKind::Run; },
                        [](const SystemdSpec&) { return ServiceKind::Systemd; },
                        [](const ContainerSpec&) { return ServiceKind::Container; },
                        [](const ObserveSpec&) { return ServiceKind::Observe; },
                        [](const BackupSpec&) { return ServiceKind::Backup; },
                    },
                    spec);
}

std::optional<ServiceIndex> Policy::find_service(std::string_view name) const noexcept {
  const auto found = std::ranges::find(services, name, &ServicePolicy::name);
  if (found == services.end()) return std::nullopt;
  return ServiceIndex{static_cast<std::uint32_t>(found - services.begin())};
}

std::optional<PlaybookIndex> Policy::find_playbook(std::string_view id) const noexcept {
  const auto found = std::ranges::find(playbooks, id, &PlaybookPolicy::id);
  if (found == playbooks.end()) return std::nullopt;
  return PlaybookIndex{static_cast<std::uint32_t>(found - playbooks.begin())};
}

}  // namespace recover::core
