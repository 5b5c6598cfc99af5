// The methods behind the table of endpoint.cc, one line each; by area in *_methods.cc.
#pragma once

#include "api/xmlrpc/endpoint.h"

namespace recover::api::xmlrpc {

// ---- about recoverd
Answer get_api_version(const Asked& asked);
Answer get_supervisor_version(const Asked& asked);
Answer get_identification(const Asked& asked);
Answer get_state(const Asked& asked);
Answer get_pid(const Asked& asked);
Answer shutdown(const Asked& asked);
Answer restart(const Asked& asked);
Answer send_remote_comm_event(const Asked& asked);

// ---- the configuration
Answer reload_config(const Asked& asked);
Answer add_process_group(const Asked& asked);
Answer remove_process_group(const Asked& asked);
Answer get_all_config_info(const Asked& asked);

// ---- processes
Answer get_process_info(const Asked& asked);
Answer get_all_process_info(const Asked& asked);
Answer start_process(const Asked& asked);
Answer start_process_group(const Asked& asked);
Answer start_all_processes(const Asked& asked);
Answer stop_process(const Asked& asked);
Answer stop_process_group(const Asked& asked);
Answer stop_all_processes(const Asked& asked);
Answer signal_process(const Asked& asked);
Answer signal_process_group(const Asked& asked);
Answer signal_all_processes(const Asked& asked);
Answer send_process_stdin(const Asked& asked);

// ---- logs
Answer read_log(const Asked& asked);
Answer clear_log(const Asked& asked);
Answer read_process_stdout_log(const Asked& asked);
Answer read_process_stderr_log(const Asked& asked);
Answer tail_process_stdout_log(const Asked& asked);
Answer tail_process_stderr_log(const Asked& asked);
Answer clear_process_logs(const Asked& asked);
Answer clear_all_process_logs(const Asked& asked);

// ---- about the methods
Answer list_methods(const Asked& asked);
Answer method_help(const Asked& asked);
Answer method_signature(const Asked& asked);

}  // namespace recover::api::xmlrpc
