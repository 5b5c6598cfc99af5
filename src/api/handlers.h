// The handlers behind the route table, one line each; by area in *_handlers.cc.
//
// All read through the Backend and ask through its `post`; none waits.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <recover/result.h>

#include "api/backend.h"
#include "api/request.h"

namespace recover::api {

// ---- services
Response get_health(const Backend& backend, const Request& request);
Response list_services(const Backend& backend, const Request& request);
Response get_service(const Backend& backend, const Request& request);
Response start_service(const Backend& backend, const Request& request);
Response stop_service(const Backend& backend, const Request& request);
Response restart_service(const Backend& backend, const Request& request);
Response reload_service(const Backend& backend, const Request& request);
Response quarantine_service(const Backend& backend, const Request& request);
Response release_service(const Backend& backend, const Request& request);
Response beat_service(const Backend& backend, const Request& request);
Response scale_service(const Backend& backend, const Request& request);

// ---- incidents and recoveries
Response list_incidents(const Backend& backend, const Request& request);
Response get_incident(const Backend& backend, const Request& request);
Response list_recoveries(const Backend& backend, const Request& request);
Response get_recovery(const Backend& backend, const Request& request);
Response explain_recovery(const Backend& backend, const Request& request);
Response approve_recovery(const Backend& backend, const Request& request);
Response reject_recovery(const Backend& backend, const Request& request);
Response recover_service(const Backend& backend, const Request& request);
Response trigger_recovery(const Backend& backend, const Request& request);
Response test_recovery(const Backend& backend, const Request& request);

// ---- how recoverd behaves
Response get_mode(const Backend& backend, const Request& request);
Response set_mode(const Backend& backend, const Request& request);
Response set_kill_switch(const Backend& backend, const Request& request);
Response list_maintenance(const Backend& backend, const Request& request);
Response start_maintenance(const Backend& backend, const Request& request);
Response stop_maintenance(const Backend& backend, const Request& request);
Response list_breakers(const Backend& backend, const Request& request);
Response reset_breaker(const Backend& backend, const Request& request);
Response list_patterns(const Backend& backend, const Request& request);
Response add_pattern(const Backend& backend, const Request& request);
Response remove_pattern(const Backend& backend, const Request& request);
Response test_patterns(const Backend& backend, const Request& request);
Response get_configuration(const Backend& backend, const Request& request);
Response put_configuration(const Backend& backend, const Request& request);
Response reload_configuration(const Backend& backend, const Request& request);
Response reexec_daemon(const Backend& backend, const Request& request);

// ---- what happened
Response list_events(const Backend& backend, const Request& request);
Response get_statistics(const Backend& backend, const Request& request);
Response get_logs(const Backend& backend, const Request& request);
Response get_resources(const Backend& backend, const Request& request);
void verify_journal(const Backend& backend, const Request& request, Reply reply);
Response get_openapi(const Backend& backend, const Request& request);

// ---- backups
Response list_backups(const Backend& backend, const Request& request);
Response get_backup(const Backend& backend, const Request& request);
Response run_backup(const Backend& backend, const Request& request);
Response get_backup_run(const Backend& backend, const Request& request);
Response list_drills(const Backend& backend, const Request& request);

// ---- checkpoints
inline constexpr std::size_t kCheckpointPrefixMin = 6;  // Of an id, so few letters name it.
Response list_checkpoints(const Backend& backend, const Request& request);
void get_checkpoint(const Backend& backend, const Request& request, Reply reply);
Response create_checkpoint(const Backend& backend, const Request& request);
Response restore_checkpoint(const Backend& backend, const Request& request);
Response prune_checkpoints(const Backend& backend, const Request& request);
Response checkpoint_failed(const ports::CheckpointError& error);
// Versions of the configuration, or of a service's state, and what differs between two.
Response list_versions(const Backend& backend, const Request& request);
void get_difference(const Backend& backend, const Request& request, Reply reply);
// Backend::aside, or in place.
void aside(const Backend& backend, std::function<void()> work, std::function<void()> done);

// The service of that name, or the 404 that names the nearest thing to do.
Result<core::ServiceIndex, Response> service_named(const Backend& backend, std::string_view name);
Result<core::PlaybookIndex, Response> playbook_named(const Backend& backend, std::string_view name);

// Posts an operator's event and answers 202 with where to look, or 409 with the rule that refuses.
// A refused one is posted too: the journal shows that somebody asked. With `service`, the answer
// holds the epoch to wait for.
Response ask(const Backend& backend, core::Event event, std::string_view request_name,
             std::optional<core::ServiceIndex> service);

// Of the newest event in the journal; 0: there is none, or it cannot be read. What an answer tells
// to look after.
std::uint64_t newest_sequence(const Backend& backend);

}  // namespace recover::api
