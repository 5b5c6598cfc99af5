#include "adapters/backup/book_text.h"

#include <boost/json.hpp>

#include <exception>
#include <stdexcept>

namespace recover::adapters::backup {
namespace {

namespace json = boost::json;

constexpr int kVersion = 1;

json::value json_of(const std::optional<core::BackupOwed>& owed) {
  if (!owed) return nullptr;
  return json::object{{"run", owed->run},           {"due", owed->due},
                      {"latest", owed->latest},     {"attempts", owed->attempts},
                      {"retry_at", owed->retry_at}, {"scheduled", owed->scheduled},
                      {"actor", owed->actor},       {"started_at", owed->started_at},
                      {"token", owed->token}};
}
json::value json_of(const std::optional<core::BackupFault>& fault) {
  if (!fault) return nullptr;
  return json::object{
      {"at", fault->at}, {"code", fault->code}, {"error", fault->error}, {"run", fault->run}};
}
json::object json_of(const core::BackupKey& key, const core::BackupRecord& record) {
  return {{"task", core::to_string(key.task)},
          {"name", key.name},
          {"since", record.since},
          {"schedule", record.schedule},
          {"cursor", record.cursor},
          {"owed", json_of(record.owed)},
          {"then", json_of(record.then)},
          {"succeeded_from", record.succeeded_from},
          {"succeeded_at", record.succeeded_at},
          {"succeeded_run", record.succeeded_run},
          {"rpo_seconds", record.rpo_seconds},
          {"rto_seconds", record.rto_seconds},
          {"fault", json_of(record.fault)},
          {"given_up", record.given_up}};
}

std::string text_at(const json::object& from, std::string_view key) {
  return json::value_to<std::string>(from.at(key));
}
std::int64_t whole_at(const json::object& from, std::string_view key) {
  return from.at(key).to_number<std::int64_t>();
}
std::uint64_t count_at(const json::object& from, std::string_view key) {
  return from.at(key).to_number<std::uint64_t>();
}

std::optional<core::BackupOwed> owed_of(const json::value& value) {
  if (value.is_null()) return std::nullopt;
  const json::object& from = value.as_object();
  return core::BackupOwed{.run = count_at(from, "run"),
                          .due = whole_at(from, "due"),
                          .latest = whole_at(from, "latest"),
                          .attempts = from.at("attempts").to_number<std::uint32_t>(),
                          .retry_at = whole_at(from, "retry_at"),
                          .scheduled = from.at("scheduled").as_bool(),
                          .actor = text_at(from, "actor"),
                          .started_at = whole_at(from, "started_at"),
                          .token = text_at(from, "token")};
}
std::optional<core::BackupFault> fault_of(const json::value& value) {
  if (value.is_null()) return std::nullopt;
  const json::object& from = value.as_object();
  return core::BackupFault{.at = whole_at(from, "at"),
                           .code = text_at(from, "code"),
                           .error = text_at(from, "error"),
                           .run = count_at(from, "run")};
}
core::BackupRecord record_of(const json::object& from) {
  core::BackupRecord record;
  record.since = whole_at(from, "since");
  record.schedule = text_at(from, "schedule");
  record.cursor = whole_at(from, "cursor");
  record.owed = owed_of(from.at("owed"));
  record.then = owed_of(from.at("then"));
  record.succeeded_from = whole_at(from, "succeeded_from");
  record.succeeded_at = whole_at(from, "succeeded_at");
  record.succeeded_run = count_at(from, "succeeded_run");
  record.rpo_seconds = from.at("rpo_seconds").to_number<double>();
  record.rto_seconds = from.at("rto_seconds").to_number<double>();
  record.fault = fault_of(from.at("fault"));
  record.given_up = from.at("given_up").as_bool();
  return record;
}

}  // namespace

std::string book_text(const core::BackupBook& book) {
  json::array records;
  for (const auto& [key, record] : book.records) records.push_back(json_of(key, record));
  return json::serialize(json::object{
             {"version", kVersion}, {"next_run", book.next_run}, {"records", std::move(records)}}) +
         "\n";
}

Result<core::BackupBook, std::string> parse_book(std::string_view text) {
  try {
    const json::value document = json::parse(text);
    const json::object& from = document.as_object();
    if (whole_at(from, "version") != kVersion) {
      return Unexpected(std::string("it is of another version"));
    }
    core::BackupBook book;
    book.next_run = count_at(from, "next_run");
    for (const json::value& each : from.at("records").as_array()) {
      const json::object& record = each.as_object();
      const auto task = core::parse_backup_task(text_at(record, "task"));
      if (!task) return Unexpected(std::string("it has an unknown task"));
      book.records[{*task, text_at(record, "name")}] = record_of(record);
    }
    return book;
  } catch (const std::exception& error) {
    return Unexpected(std::string(error.what()));
  }
}

}  // namespace recover::adapters::backup
