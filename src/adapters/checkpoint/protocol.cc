#include "adapters/checkpoint/protocol.h"

#include <array>
#include <exception>
#include <stdexcept>
#include <utility>

#include "adapters/checkpoint/json_fields.h"

namespace recover::adapters::checkpoint {
namespace {

namespace json = boost::json;
using ports::CheckpointFile;
using ports::FileKind;
using Texts = std::vector<std::string>;

constexpr std::string_view kBegin = R"({"task":"checkpoint-)";

template <class Value, std::size_t size>
using Names = std::array<std::pair<Value, std::string_view>, size>;

constexpr Names<WorkerTask, 6> kTasks = {{{WorkerTask::Take, "checkpoint-take"},
                                          {WorkerTask::Restore, "checkpoint-restore"},
                                          {WorkerTask::Show, "checkpoint-show"},
                                          {WorkerTask::Diff, "checkpoint-diff"},
                                          {WorkerTask::Sweep, "checkpoint-sweep"},
                                          {WorkerTask::TakeOver, "checkpoint-take-over"}}};
constexpr Names<FileKind, 4> kKinds = {{{FileKind::Directory, "directory"},
                                        {FileKind::Regular, "file"},
                                        {FileKind::Symlink, "symlink"},
                                        {FileKind::Absent, "absent"}}};
constexpr Names<CheckpointFault, 5> kFaults = {{{CheckpointFault::NotFound, "not_found"},
                                                {CheckpointFault::Corrupt, "corrupt"},
                                                {CheckpointFault::Refused, "refused"},
                                                {CheckpointFault::Io, "io"},
                                                {CheckpointFault::Cancelled, "cancelled"}}};

template <class Table, class Value>
std::string_view name_in(const Table& table, Value value) {
  for (const auto& [one, name] : table) {
    if (one == value) return name;
  }
  return "";
}

// Throws.
template <class Table>
auto value_in(const Table& table, std::string_view text) {
  for (const auto& [value, name] : table) {
    if (name == text) return value;
  }
  throw std::invalid_argument("`" + std::string(text) + "` means nothing here");
}

std::uint64_t number_at(const json::object& object, std::string_view key) {
  return object.at(key).to_number<std::uint64_t>();
}

// A list, not an object: there may be a hundred thousand.
json::array to_json(const CheckpointFile& file) {
  return {file.path,  name_in(kKinds, file.kind),
          file.mode,  file.uid,
          file.gid,   file.mtime_ns,
          file.size,  file.target,
          file.sha256};
}

CheckpointFile file_from(const json::array& fields) {
  CheckpointFile file;
  file.path = fields.at(0).as_string();
  file.kind = value_in(kKinds, fields.at(1).as_string());
  file.mode = fields.at(2).to_number<std::uint32_t>();
  file.uid = fields.at(3).to_number<std::uint32_t>();
  file.gid = fields.at(4).to_number<std::uint32_t>();
  file.mtime_ns = fields.at(5).to_number<std::int64_t>();
  file.size = fields.at(6).to_number<std::uint64_t>();
  file.target = fields.at(7).as_string();
  file.sha256 = fields.at(8).as_string();
  return file;
}

json::object answer_json(const WorkerAnswer& answer) {
  json::array entries;
  entries.reserve(answer.entries.size());
  for (const CheckpointFile& file : answer.entries) entries.push_back(to_json(file));
  return {{"ok", true},
          {"snapshot", answer.snapshot},
          {"content", answer.content},
          {"files", answer.files},
          {"bytes", answer.bytes},
          {"bytes_stored", answer.bytes_stored},
          {"written", array_of(answer.report.written)},
          {"removed", array_of(answer.report.removed)},
          {"left", array_of(answer.report.left)},
          {"unchanged", answer.report.unchanged},
          {"entries", std::move(entries)},
          {"text", answer.text}};
}

WorkerAnswer answer_from(const json::object& object) {
  WorkerAnswer answer{.snapshot = text_at(object, "snapshot"),
                      .content = text_at(object, "content"),
                      .files = number_at(object, "files"),
                      .bytes = number_at(object, "bytes"),
                      .bytes_stored = number_at(object, "bytes_stored")};
  answer.report.written = texts_at(object, "written");
  answer.report.removed = texts_at(object, "removed");
  answer.report.left = texts_at(object, "left");
  answer.report.unchanged = number_at(object, "unchanged");
  for (const json::value& entry : object.at("entries").as_array()) {
    answer.entries.push_back(file_from(entry.as_array()));
  }
  answer.text = text_at(object, "text");
  return answer;
}

}  // namespace

bool is_checkpoint_job(std::string_view text) {
  return text.starts_with(kBegin);
}

std::string encode(const WorkerJob& job) {
  return json::serialize(json::object{{"task", name_in(kTasks, job.task)},
                                      {"root", job.root},
                                      {"asked_by", job.asked_by},
                                      {"service", job.service},
                                      {"tags", array_of(job.tags)},
                                      {"paths", array_of(job.paths)},
                                      {"present", array_of(job.present)},
                                      {"absent", array_of(job.absent)},
                                      {"not_held", array_of(job.not_held)},
                                      {"excludes", array_of(job.excludes)},
                                      {"snapshot", job.snapshot},
                                      {"other", job.other},
                                      {"only", array_of(job.only)},
                                      {"dry_run", job.dry_run},
                                      {"kept", array_of(job.kept)},
                                      {"keep_all", job.keep_all}});
}

Result<WorkerJob, std::string> decode_job(std::string_view text) {
  try {
    const json::object object = parsed(text);
    return WorkerJob{.task = value_in(kTasks, object.at("task").as_string()),
                     .root = text_at(object, "root"),
                     .asked_by = object.at("asked_by").to_number<std::int64_t>(),
                     .service = text_at(object, "service"),
                     .tags = texts_at(object, "tags"),
                     .paths = texts_at(object, "paths"),
                     .present = texts_at(object, "present"),
                     .absent = texts_at(object, "absent"),
                     .not_held = texts_at(object, "not_held"),
                     .excludes = texts_at(object, "excludes"),
                     .snapshot = text_at(object, "snapshot"),
                     .other = text_at(object, "other"),
                     .only = texts_at(object, "only"),
                     .dry_run = object.at("dry_run").as_bool(),
                     .kept = texts_at(object, "kept"),
                     .keep_all = object.at("keep_all").as_bool()};
  } catch (const std::exception& error) {
    return Unexpected(std::string(error.what()));
  }
}

std::string encode(const WorkerResult& result) {
  if (result) return json::serialize(answer_json(*result)) + "\n";
  const CheckpointError& error = result.error();
  return json::serialize(json::object{{"ok", false},
                                      {"fault", name_in(kFaults, error.fault)},
                                      {"message", error.message},
                                      {"path", error.path},
                                      {"touched", error.touched}}) +
         "\n";
}

WorkerResult decode_answer(std::string_view text) {
  try {
    const json::object object = parsed(text);
    if (object.at("ok").as_bool()) return answer_from(object);
    return Unexpected(CheckpointError{.fault = value_in(kFaults, object.at("fault").as_string()),
                                      .message = text_at(object, "message"),
                                      .path = text_at(object, "path"),
                                      .touched = object.at("touched").as_bool()});
  } catch (const std::exception& error) {
    return Unexpected(CheckpointError{
        .fault = CheckpointFault::Io,
        .message = std::string("the checkpoint worker answered nonsense: ") + error.what()});
  }
}

}  // namespace recover::adapters::checkpoint
