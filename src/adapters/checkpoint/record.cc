#include "adapters/checkpoint/record.h"

#include <exception>
#include <utility>

#include "adapters/checkpoint/json_fields.h"

namespace recover::adapters::checkpoint {
namespace {

namespace json = boost::json;

constexpr std::int64_t kFormat = 2;
constexpr std::size_t kIdDigits = 32;
constexpr std::string_view kSumMark = "\nsha256:";

std::string digest_of(std::string_view text) {
  Sha256 sha;
  sha.add(text);
  return sha.hex();
}

// Throws what boost::json throws.
CheckpointRecord record_from(const json::object& object) {
  CheckpointRecord record;
  record.info = {.id = text_at(object, "id"),
                 .service = text_at(object, "service"),
                 .wall_ns = object.at("wall_ns").to_number<std::int64_t>(),
                 .paths = texts_at(object, "paths"),
                 .files = object.at("files").to_number<std::uint64_t>(),
                 .bytes = object.at("bytes").to_number<std::uint64_t>()};
  for (const json::value& fact : object.at("facts").as_array()) {
    record.info.facts.emplace_back(fact.as_array().at(0).as_string(),
                                   fact.as_array().at(1).as_string());
  }
  record.snapshot = text_at(object, "snapshot");
  record.content = text_at(object, "content");
  record.fingerprint = text_at(object, "fingerprint");
  record.absent = texts_at(object, "absent");
  record.not_held = texts_at(object, "not_held");
  return record;
}

}  // namespace

void FieldDigest::add(std::string_view field) {
  sha_.add(std::to_string(field.size()) + ":");
  sha_.add(field);
}

std::string FieldDigest::id() {
  return sha_.hex().substr(0, kIdDigits);
}

std::string encode(const CheckpointRecord& record) {
  json::array facts;
  for (const auto& [name, value] : record.info.facts) facts.push_back(json::array{name, value});
  const json::object object{{"format", kFormat},
                            {"id", record.info.id},
                            {"service", record.info.service},
                            {"wall_ns", record.info.wall_ns},
                            {"paths", array_of(record.info.paths)},
                            {"facts", std::move(facts)},
                            {"files", record.info.files},
                            {"bytes", record.info.bytes},
                            {"snapshot", record.snapshot},
                            {"content", record.content},
                            {"fingerprint", record.fingerprint},
                            {"absent", array_of(record.absent)},
                            {"not_held", array_of(record.not_held)}};
  const std::string text = json::serialize(object);
  return text + std::string(kSumMark) + digest_of(text) + "\n";
}

std::string_view body_of(std::string_view text) {
  const std::size_t mark = text.rfind(kSumMark);
  if (mark == std::string_view::npos) return {};
  const std::string_view body = text.substr(0, mark);
  const bool whole = text.substr(mark) == std::string(kSumMark) + digest_of(body) + "\n";
  return whole ? body : std::string_view();
}

Result<CheckpointRecord, CheckpointError> decode(std::string_view text, const std::string& path) {
  const auto damaged = [&path](std::string_view why) {
    return Unexpected(CheckpointError{.fault = CheckpointFault::Corrupt,
                                      .message = "checkpoint " + path + " " + std::string(why),
                                      .path = path});
  };
  const std::string_view body = body_of(text);
  if (body.empty()) return damaged("is damaged");
  try {
    const json::object object = parsed(body);
    if (object.at("format").to_number<std::int64_t>() != kFormat) {
      return damaged("is of another recoverd");
    }
    return record_from(object);
  } catch (const std::exception&) {
    return damaged("is no checkpoint");
  }
}

}  // namespace recover::adapters::checkpoint
