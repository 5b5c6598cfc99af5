#include "backup/format/json_object.h"

#include <boost/json/parse.hpp>

#include <utility>

#include "backup/format/base64.h"

namespace recover::backup {
namespace {

namespace json = boost::json;

}  // namespace

std::string& ObjectText::key(std::string_view name) {
  if (text_.size() > 1) text_ += ',';
  append_json_string(text_, name);
  text_ += ':';
  return text_;
}

ObjectText& ObjectText::text(std::string_view name, std::string_view value) {
  append_json_string(key(name), value);
  return *this;
}
ObjectText& ObjectText::text_unless_empty(std::string_view name, std::string_view value) {
  return value.empty() ? *this : text(name, value);
}
ObjectText& ObjectText::number(std::string_view name, std::uint64_t value) {
  append_number(key(name), value);
  return *this;
}
ObjectText& ObjectText::number_unless_zero(std::string_view name, std::uint64_t value) {
  return value == 0 ? *this : number(name, value);
}
ObjectText& ObjectText::boolean(std::string_view name, bool value) {
  return raw(name, value ? "true" : "false");
}
ObjectText& ObjectText::time(std::string_view name, const Timestamp& value) {
  append_json_time(key(name), value);
  return *this;
}
ObjectText& ObjectText::texts(std::string_view name, const std::vector<std::string>& values) {
  std::string& out = key(name);
  out += '[';
  for (const std::string& value : values) {
    if (out.back() != '[') out += ',';
    append_json_string(out, value);
  }
  out += ']';
  return *this;
}
ObjectText& ObjectText::texts_unless_empty(std::string_view name,
                                           const std::vector<std::string>& values) {
  return values.empty() ? *this : texts(name, values);
}
ObjectText& ObjectText::raw(std::string_view name, std::string_view json) {
  key(name) += json;
  return *this;
}
std::string ObjectText::finish() {
  text_ += '}';
  return std::exchange(text_, "{");
}

Outcome<ObjectFields> ObjectFields::parse(std::string_view text, std::string_view what) {
  json::error_code error;
  json::value value = json::parse(text, error);
  if (error || !value.is_object()) {
    return fail(FailureKind::Damaged, std::string(what) + ": it is no JSON object");
  }
  return ObjectFields(std::move(value.get_object()), std::string(what));
}

void ObjectFields::blame(std::string_view key, std::string_view why) {
  if (!mistake_) mistake_ = what_ + ": " + std::string(key) + " " + std::string(why);
}

Outcome<void> ObjectFields::verdict() const {
  if (mistake_) return fail(FailureKind::Damaged, *mistake_);
  return {};
}

// Null counts as absent, as Go reads it.
const json::value* ObjectFields::find(std::string_view key, bool needed) {
  const json::value* const value = fields_.if_contains(key);
  if (value != nullptr && !value->is_null()) return value;
  if (needed) blame(key, "is missing");
  return nullptr;
}

std::string ObjectFields::text_or_empty(std::string_view key) {
  const json::value* const value = find(key, false);
  if (value == nullptr) return {};
  if (!value->is_string()) {
    blame(key, "is no text");
    return {};
  }
  return std::string(std::string_view(value->get_string()));
}

std::string ObjectFields::text(std::string_view key) {
  find(key, true);
  return text_or_empty(key);
}

std::uint64_t ObjectFields::number_or_zero(std::string_view key) {
  const json::value* const value = find(key, false);
  if (value == nullptr) return 0;
  json::error_code error;
  const auto number = value->to_number<std::uint64_t>(error);
  if (error) blame(key, "is no whole number");
  return error ? 0 : number;
}

std::uint64_t ObjectFields::number(std::string_view key) {
  find(key, true);
  return number_or_zero(key);
}

bool ObjectFields::boolean_or_false(std::string_view key) {
  const json::value* const value = find(key, false);
  if (value == nullptr) return false;
  if (!value->is_bool()) blame(key, "is neither true nor false");
  return value->is_bool() && value->get_bool();
}

Timestamp ObjectFields::time(std::string_view key) {
  const auto time = parse_time(text(key));
  if (!time) blame(key, "is no time");
  return time.value_or(Timestamp());
}

std::optional<Digest> ObjectFields::digest_or_none(std::string_view key) {
  const std::string value = text_or_empty(key);
  if (value.empty()) return std::nullopt;
  const auto digest = parse_digest(value);
  if (!digest) blame(key, "is no ID of 64 hex digits");
  return digest;
}

Digest ObjectFields::digest(std::string_view key) {
  find(key, true);
  return digest_or_none(key).value_or(Digest());
}

Bytes ObjectFields::base64(std::string_view key) {
  auto bytes = parse_base64(text(key));
  if (!bytes) blame(key, "is no base64");
  return std::move(bytes).value_or(Bytes());
}

std::vector<std::string> ObjectFields::texts_or_empty(std::string_view key) {
  std::vector<std::string> texts;
  const json::value* const value = find(key, false);
  if (value == nullptr) return texts;
  if (!value->is_array()) {
    blame(key, "is no list");
    return texts;
  }
  for (const json::value& element : value->get_array()) {
    if (!element.is_string()) {
      blame(key, "is no list of texts");
      return {};
    }
    texts.emplace_back(std::string_view(element.get_string()));
  }
  return texts;
}

std::optional<ObjectFields> ObjectFields::object_or_none(std::string_view key) {
  const json::value* const value = find(key, false);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) {
    blame(key, "is no object");
    return std::nullopt;
  }
  return ObjectFields(value->get_object(), what_);
}

ObjectFields ObjectFields::object(std::string_view key) {
  find(key, true);
  auto found = object_or_none(key);
  return found ? std::move(*found) : ObjectFields({}, what_);
}

}  // namespace recover::backup
