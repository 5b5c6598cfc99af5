// Writing and reading the fields of small JSON objects. For this room's documents only.
#pragma once

#include <boost/json/object.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backup/crypto/digest.h"
#include "backup/failure.h"
#include "backup/format/go_text.h"

namespace recover::backup {

// {"key":value,...} in the order of the calls. The `unless` forms leave empty and zero values out.
class ObjectText {
 public:
  ObjectText& text(std::string_view key, std::string_view value);
  ObjectText& text_unless_empty(std::string_view key, std::string_view value);
  ObjectText& number(std::string_view key, std::uint64_t value);
  ObjectText& number_unless_zero(std::string_view key, std::uint64_t value);
  ObjectText& boolean(std::string_view key, bool value);
  ObjectText& time(std::string_view key, const Timestamp& value);
  ObjectText& texts(std::string_view key, const std::vector<std::string>& values);
  ObjectText& texts_unless_empty(std::string_view key, const std::vector<std::string>& values);
  // `json` as it is.
  ObjectText& raw(std::string_view key, std::string_view json);
  std::string finish();

 private:
  std::string& key(std::string_view name);
  std::string text_ = "{";
};

// Reads fields by name; remembers the first that is missing or of the wrong type.
class ObjectFields {
 public:
  // `what` names the document in messages: "snapshot".
  static Outcome<ObjectFields> parse(std::string_view text, std::string_view what);

  std::string text(std::string_view key);  // Must be there.
  std::string text_or_empty(std::string_view key);
  std::uint64_t number(std::string_view key);  // Must be there.
  std::uint64_t number_or_zero(std::string_view key);
  bool boolean_or_false(std::string_view key);
  Timestamp time(std::string_view key);  // Must be there.
  Digest digest(std::string_view key);   // Must be there.
  std::optional<Digest> digest_or_none(std::string_view key);
  Bytes base64(std::string_view key);  // Must be there.
  std::vector<std::string> texts_or_empty(std::string_view key);
  std::optional<ObjectFields> object_or_none(std::string_view key);
  ObjectFields object(std::string_view key);  // Must be there.

  void blame(std::string_view key, std::string_view why);
  // The first mistake, if there was one.
  Outcome<void> verdict() const;

 private:
  ObjectFields(boost::json::object fields, std::string what)
      : fields_(std::move(fields)), what_(std::move(what)) {}
  const boost::json::value* find(std::string_view key, bool needed);

  boost::json::object fields_;
  std::string what_;
  std::optional<std::string> mistake_;
};

}  // namespace recover::backup
