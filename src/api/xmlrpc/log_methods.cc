// What processes and recoverd said: read, tail, clear.
#include "api/xmlrpc/log.h"
#include "api/xmlrpc/methods.h"

namespace recover::api::xmlrpc {
namespace {

void clear(const Asked& asked, const Process& process) {
  asked.backend().post(core::OperatorNote{.service = process.service,
                                          .actor = asked.caller.actor,
                                          .message = "cleared the output of " + process.name});
  asked.backend().clear_output(process.service, process.instance);
}

Answer read_channel(const Asked& asked, Channel channel) {
  const auto found = find_process(asked.engine(), asked.text(0));
  if (!found || !found->process) return failed(Code::BadName, asked.text(0));
  if (!has_log(asked.backend(), *found->process, channel)) {
    const bool joined =
        channel == Channel::Stderr && has_log(asked.backend(), *found->process, Channel::Stdout);
    return failed(Code::NoFile,
                  asked.text(0) + (joined ? ": both outputs are one log, that of stdout" : ""));
  }
  auto text =
      read_process_log(asked.backend(), *found->process, channel, asked.number(1), asked.number(2));
  return text ? done(std::move(*text)) : failed(Code::BadArguments, "offset and length");
}

Answer tail_channel(const Asked& asked, Channel channel) {
  const auto found = find_process(asked.engine(), asked.text(0));
  if (!found || !found->process) return failed(Code::BadName, asked.text(0));
  if (!has_log(asked.backend(), *found->process, channel)) {
    return done(Array{Value(""), Value(0), Value(false)});
  }
  const auto offset = std::max<std::int64_t>(asked.number(1), 0);
  const auto length = std::max<std::int64_t>(asked.number(2), 0);
  const auto text = read_process_log(asked.backend(), *found->process, channel,
                                     -std::max<std::int64_t>(length, 1), 0);
  const std::int64_t end = log_end(asked.backend(), *found->process, channel);
  const bool overflow = end > offset + length;
  // Less is new than was asked for: only that.
  const auto fresh = static_cast<std::size_t>(std::clamp<std::int64_t>(end - offset, 0, length));
  std::string bytes = text.value_or("");
  if (bytes.size() > fresh) bytes.erase(0, bytes.size() - fresh);
  return done(Array{Value(std::move(bytes)), Value(end), Value(overflow)});
}

}  // namespace

Answer read_log(const Asked& asked) {
  auto text = read_main_log(asked.backend(), asked.number(0), asked.number(1));
  return text ? done(std::move(*text)) : failed(Code::BadArguments, "offset and length");
}

Answer clear_log(const Asked& /*asked*/) {
  return failed(Code::Failed, "recoverd's log is its journal, which is an audit trail");
}

Answer read_process_stdout_log(const Asked& asked) {
  return read_channel(asked, Channel::Stdout);
}
Answer read_process_stderr_log(const Asked& asked) {
  return read_channel(asked, Channel::Stderr);
}

Answer tail_process_stdout_log(const Asked& asked) {
  return tail_channel(asked, Channel::Stdout);
}
Answer tail_process_stderr_log(const Asked& asked) {
  return tail_channel(asked, Channel::Stderr);
}

Answer clear_process_logs(const Asked& asked) {
  const auto found = find_process(asked.engine(), asked.text(0));
  if (!found || !found->process) return failed(Code::BadName, asked.text(0));
  if (!asked.backend().clear_output) return failed(Code::Failed, asked.text(0));
  clear(asked, *found->process);
  return done(true);
}

Answer clear_all_process_logs(const Asked& asked) {
  Array statuses;
  for (const Process& process : all_processes(asked.engine())) {
    if (!asked.backend().clear_output) break;
    clear(asked, process);
    statuses.emplace_back(Struct{{"name", process.name},
                                 {"group", process.group},
                                 {"status", static_cast<int>(Code::Success)},
                                 {"description", "OK"}});
  }
  return done(std::move(statuses));
}

}  // namespace recover::api::xmlrpc
