// About recoverd itself, and its configuration.
#include "api/xmlrpc/job.h"
#include "api/xmlrpc/methods.h"

namespace recover::api::xmlrpc {
namespace {

constexpr std::string_view kApiVersion = "3.0";
// What clients may expect of the API, for those that look at the version.
constexpr std::string_view kLike = "4.2.5-recoverd-";

void note(const Asked& asked, std::string message) {
  asked.backend().post(core::OperatorNote{
      .service = std::nullopt, .actor = asked.caller.actor, .message = std::move(message)});
}

std::string in_one_line(const Mistakes& mistakes) {
  std::string text;
  for (const std::string& mistake : mistakes) text += (text.empty() ? "" : "; ") + mistake;
  return text;
}

Array names(const std::vector<std::string>& texts) {
  Array array;
  for (const std::string& text : texts) array.emplace_back(text);
  return array;
}

// Nothing: it went well.
std::optional<Fault> take_over(const Asked& asked) {
  Endpoint::Changes& changes = asked.endpoint.changes;
  if (changes.taken) return std::nullopt;
  if (!asked.backend().reload) return fault(Code::Failed, "there is no configuration to reload");
  note(asked, "reload the configuration");
  const auto reloaded = asked.backend().reload();
  if (!reloaded) return fault(Code::CantReread, in_one_line(reloaded.error()));
  changes.taken = true;
  return std::nullopt;
}

bool any_runs(const core::Engine& engine, core::ServiceIndex service) {
  for (const Process& process : processes_of(engine, service)) {
    const ProcessState state = state_of(engine, process);
    if (is_running(state) || state == ProcessState::Stopping) return true;
  }
  return false;
}

}  // namespace

Answer get_api_version(const Asked& /*asked*/) {
  return done(kApiVersion);
}
Answer get_supervisor_version(const Asked& asked) {
  return done(std::string(kLike) + asked.backend().version);
}
Answer get_identification(const Asked& /*asked*/) {
  return done("recoverd");
}
Answer get_state(const Asked& /*asked*/) {
  return done(Struct{{"statecode", 1}, {"statename", "RUNNING"}});
}
Answer get_pid(const Asked& asked) {
  return done(asked.backend().pid);
}

Answer shutdown(const Asked& asked) {
  if (!asked.backend().shutdown) return failed(Code::Failed, "this recoverd cannot be ended so");
  note(asked, "shut recoverd down");
  asked.endpoint.stop();
  asked.backend().shutdown();
  return done(true);
}

// supervisord would stop everything; what did not change runs on here.
Answer restart(const Asked& asked) {
  asked.endpoint.changes = {};
  if (auto wrong = take_over(asked)) return Outcome(Unexpected<Fault>(std::move(*wrong)));
  asked.endpoint.changes = {};
  return done(true);
}

Answer send_remote_comm_event(const Asked& asked) {
  constexpr std::size_t kNoteMax = 4096;
  note(asked, (asked.text(0) + ": " + asked.text(1)).substr(0, kNoteMax));
  return done(true);
}

Answer reload_config(const Asked& asked) {
  if (!asked.backend().preview) return failed(Code::Failed, "there is no configuration to reload");
  const auto preview = asked.backend().preview();
  if (!preview) return failed(Code::CantReread, in_one_line(preview.error()));
  Endpoint::Changes& changes = asked.endpoint.changes;
  changes = {.added = {preview->added.begin(), preview->added.end()},
             .changed = {preview->restarted.begin(), preview->restarted.end()},
             .removed = {preview->removed.begin(), preview->removed.end()}};
  const bool named = !changes.added.empty() || !changes.changed.empty() || !changes.removed.empty();
  const bool others = !preview->changed.empty() || !preview->sections.empty();
  // Nobody would ask for what restarts nothing.
  if (!named && others) {
    if (auto wrong = take_over(asked)) return Outcome(Unexpected<Fault>(std::move(*wrong)));
  }
  Array lists;
  for (const auto* each : {&preview->added, &preview->restarted, &preview->removed}) {
    lists.emplace_back(names(*each));
  }
  Array result;
  result.emplace_back(std::move(lists));
  return done(std::move(result));
}

Answer add_process_group(const Asked& asked) {
  const std::string& name = asked.text(0);
  Endpoint::Changes& changes = asked.endpoint.changes;
  const bool changed = changes.changed.erase(name) > 0;
  if (!changed && changes.added.erase(name) == 0) {
    const bool known = asked.engine().policy().find_service(name).has_value();
    return failed(known ? Code::AlreadyAdded : Code::BadName, name);
  }
  if (auto wrong = take_over(asked)) return Outcome(Unexpected<Fault>(std::move(*wrong)));
  const auto service = asked.engine().policy().find_service(name);
  if (!service) return failed(Code::BadName, name);
  // `update` stopped it to take it over.
  const bool wanted = asked.engine().state().services.at(service->value).wanted;
  if (changed && !wanted && asked.engine().policy().service(*service).autostart) {
    Job(asked.backend(), Job::Kind::Start, asked.caller.actor,
        processes_of(asked.engine(), *service), false)
        .poll();
  }
  return done(true);
}

Answer remove_process_group(const Asked& asked) {
  const std::string& name = asked.text(0);
  Endpoint::Changes& changes = asked.endpoint.changes;
  const auto service = asked.engine().policy().find_service(name);
  if (!service) {
    return changes.removed.erase(name) > 0 ? done(true) : failed(Code::BadName, name);
  }
  const bool restarted_already = changes.taken && changes.changed.contains(name);
  if (!restarted_already && any_runs(asked.engine(), *service)) {
    return failed(Code::StillRunning, name);
  }
  if (changes.changed.contains(name)) return done(true);  // `add` takes it over.
  if (!changes.removed.contains(name)) {
    return failed(Code::Failed, name + " is in the configuration file: take it out there first");
  }
  if (auto wrong = take_over(asked)) return Outcome(Unexpected<Fault>(std::move(*wrong)));
  changes.removed.erase(name);
  return done(true);
}

Answer get_all_config_info(const Asked& asked) {
  Array infos;
  for (const Process& process : all_processes(asked.engine())) {
    infos.push_back(config_of(asked.backend(), process));
  }
  return done(std::move(infos));
}

}  // namespace recover::api::xmlrpc
