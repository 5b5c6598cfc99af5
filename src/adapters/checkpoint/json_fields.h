// Reading and writing the JSON of this room. What reads throws what boost::json throws.
#pragma once

#include <boost/json.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace recover::adapters::checkpoint {

inline boost::json::array array_of(const std::vector<std::string>& texts) {
  return boost::json::array(texts.begin(), texts.end());
}

inline std::string text_at(const boost::json::object& object, std::string_view key) {
  return std::string(object.at(key).as_string());
}

inline std::vector<std::string> texts_at(const boost::json::object& object, std::string_view key) {
  std::vector<std::string> texts;
  for (const boost::json::value& text : object.at(key).as_array()) {
    texts.emplace_back(text.as_string());
  }
  return texts;
}

inline boost::json::object parsed(std::string_view text) {
  boost::json::parse_options options;
  options.allow_invalid_utf8 = true;  // File names are bytes.
  return boost::json::parse({text.data(), text.size()}, {}, options).as_object();
}

}  // namespace recover::adapters::checkpoint
