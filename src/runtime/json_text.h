// JSON as text, written field by field: what is recorded on the way from a failure to its remedy is
// not first built as a tree. Same text as Boost.JSON's. Knows no rules of what is written.
#pragma once

#include <boost/json.hpp>

#include <array>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace recover::runtime {

// REQUIRES: strings are UTF-8; objects and arrays are closed in the order they were opened.
class JsonText {
 public:
  JsonText& begin(char bracket) {
    separate();
    text_ += bracket;
    first_ = true;
    return *this;
  }
  JsonText& end(char bracket) {
    text_ += bracket;
    first_ = false;
    return *this;
  }
  JsonText& key(std::string_view name) {
    value(name);
    text_ += ':';
    first_ = true;  // No comma before its value.
    return *this;
  }
  JsonText& value(std::string_view string) {
    separate();
    text_ += '"';
    for (const char c : string) add(c);
    text_ += '"';
    return *this;
  }
  JsonText& value(const std::string& string) { return value(std::string_view(string)); }
  JsonText& value(const char* string) { return value(std::string_view(string)); }
  JsonText& value(bool yes) { return raw(yes ? "true" : "false"); }
  JsonText& value(std::nullptr_t) { return raw("null"); }
  JsonText& value(double number) { return raw(boost::json::serialize(boost::json::value(number))); }
  template <std::integral Number>
  JsonText& value(Number number) {
    std::array<char, 24> digits{};
    return raw(
        {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr});
  }
  template <class Value>
  JsonText& field(std::string_view name, const Value& each) {
    return key(name).value(each);
  }
  std::string take() { return std::move(text_); }

 private:
  void separate() {
    if (!first_) text_ += ',';
    first_ = false;
  }
  JsonText& raw(std::string_view text) {
    separate();
    text_ += text;
    return *this;
  }
  void add(char c) {
    static constexpr std::string_view kDigits = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && c != '"' && c != '\\') {
      text_ += c;
      return;
    }
    text_ += '\\';
    switch (c) {
      case '"':
      case '\\': text_ += c; return;
      case '\b': text_ += 'b'; return;
      case '\f': text_ += 'f'; return;
      case '\n': text_ += 'n'; return;
      case '\r': text_ += 'r'; return;
      case '\t': text_ += 't'; return;
      default: break;
    }
    text_ += "u00";
    text_ += kDigits[byte >> 4U];
    text_ += kDigits[byte & 0xfU];
  }

  std::string text_;
  bool first_ = true;
};

}  // namespace recover::runtime
