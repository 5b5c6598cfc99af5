#include "api/xmlrpc/codec.h"

#include <expat.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <limits>
#include <memory>

#include "api/xmlrpc/base64.h"
#include "base/utf8.h"

namespace recover::api::xmlrpc {
namespace {

// ---- reading

struct Element {
  std::string tag;
  std::string text;
  std::string name;  // Of a member; of the call.
  Array values = {};
  Struct members = {};
};

// Which element may stand in which.
constexpr auto kPlaces = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"methodCall", ""},       {"methodName", "methodCall"},
    {"params", "methodCall"}, {"param", "params"},
    {"value", "param"},       {"value", "data"},
    {"value", "member"},      {"array", "value"},
    {"data", "array"},        {"struct", "value"},
    {"member", "struct"},     {"name", "member"},
    {"int", "value"},         {"i4", "value"},
    {"i8", "value"},          {"boolean", "value"},
    {"string", "value"},      {"double", "value"},
    {"base64", "value"},
});

bool may_stand(std::string_view tag, std::string_view parent) {
  return std::ranges::find(kPlaces, std::pair(tag, parent)) != kPlaces.end();
}

template <class Number>
std::optional<Value> number_in(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '+')) text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return Value(number);
}

// What the text of a scalar stands for; nothing: it does not.
std::optional<Value> scalar(const Element& element) {
  if (element.tag == "string") return Value(element.text);
  if (element.tag == "double") return number_in<double>(element.text);
  if (element.tag == "base64") {
    auto bytes = from_base64(element.text);
    return bytes ? std::optional<Value>(std::move(*bytes)) : std::nullopt;
  }
  if (element.tag == "boolean") {
    if (element.text != "0" && element.text != "1") return std::nullopt;
    return Value(element.text == "1");
  }
  return number_in<std::int64_t>(element.text);
}

class Reading {
 public:
  Result<Call, std::string> read(std::string_view xml) {
    const std::unique_ptr<XML_ParserStruct, void (*)(XML_Parser)> parser(XML_ParserCreate(nullptr),
                                                                         &XML_ParserFree);
    if (!parser) return Unexpected<std::string>("no memory to read it");
    parser_ = parser.get();
    XML_SetUserData(parser_, this);
    XML_SetElementHandler(parser_, &begins, &ends);
    XML_SetCharacterDataHandler(parser_, &says);
    XML_SetStartDoctypeDeclHandler(parser_, &declares);
    const auto status = XML_Parse(parser_, xml.data(), static_cast<int>(xml.size()), XML_TRUE);
    if (!wrong_.empty()) return Unexpected<std::string>(wrong_);
    if (status != XML_STATUS_OK) {
      return Unexpected<std::string>(std::string("not well-formed: ") +
                                     XML_ErrorString(XML_GetErrorCode(parser_)));
    }
    if (call_.method.empty()) return Unexpected<std::string>("it names no method");
    return std::move(call_);
  }

 private:
  static Reading& self(void* user) { return *static_cast<Reading*>(user); }
  static void XMLCALL begins(void* user, const XML_Char* tag, const XML_Char** /*attributes*/) {
    self(user).begin(tag);
  }
  static void XMLCALL ends(void* user, const XML_Char* /*tag*/) { self(user).end(); }
  static void XMLCALL says(void* user, const XML_Char* text, int size) {
    Reading& reading = self(user);
    if (!reading.open_.empty()) {
      reading.open_.back().text.append(text, static_cast<std::size_t>(size));
    }
  }
  static void XMLCALL declares(void* user, const XML_Char* /*name*/, const XML_Char* /*system*/,
                               const XML_Char* /*public_id*/, int /*internal*/) {
    self(user).refuse("a call has no document type");
  }

  void refuse(std::string why) {
    if (wrong_.empty()) wrong_ = std::move(why);
    XML_StopParser(parser_, XML_FALSE);
  }

  void begin(std::string_view tag) {
    if (!wrong_.empty()) return;
    if (open_.size() >= kElementsDeepMax) return refuse("its values are nested too deep");
    if (++elements_ > kElementsMax) return refuse("it has too many values");
    const std::string_view parent = open_.empty() ? std::string_view() : open_.back().tag;
    if (!may_stand(tag, parent)) return refuse("<" + std::string(tag) + "> has no place there");
    open_.push_back({.tag = std::string(tag), .text = {}, .name = {}});
  }

  void end() {
    if (!wrong_.empty() || open_.empty()) return;
    Element element = std::move(open_.back());
    open_.pop_back();
    if (open_.empty()) {
      call_ = {.method = std::move(element.name), .parameters = std::move(element.values)};
      return;
    }
    fold(std::move(element), open_.back());
  }

  // What an element that ended means to the one around it.
  void fold(Element element, Element& parent) {
    const std::string& tag = element.tag;
    if (tag == "methodName" || tag == "name") {
      parent.name = std::move(element.text);
    } else if (tag == "params") {
      parent.values = std::move(element.values);
    } else if (tag == "data") {
      parent.values.emplace_back(std::move(element.values));
    } else if (tag == "struct") {
      parent.values.emplace_back(std::move(element.members));
    } else if (tag == "value" && element.values.empty()) {
      parent.values.emplace_back(std::move(element.text));  // Without a type it is a string.
    } else if (tag == "value" || tag == "param" || tag == "array" || tag == "member") {
      if (element.values.size() != 1) return refuse("<" + tag + "> holds one value");
      if (tag != "member") {
        parent.values.push_back(std::move(element.values.front()));
      } else {
        parent.members.emplace_back(std::move(element.name), std::move(element.values.front()));
      }
    } else if (auto value = scalar(element)) {
      parent.values.push_back(std::move(*value));
    } else {
      refuse("\"" + element.text.substr(0, 40) + "\" is no " + tag);
    }
  }

  XML_Parser parser_ = nullptr;
  std::vector<Element> open_;
  std::size_t elements_ = 0;
  std::string wrong_;
  Call call_;
};

// ---- writing

void put_text(std::string& xml, std::string_view text) {
  for (const char letter : base::valid_utf8(std::string(text))) {
    switch (letter) {
      case '&': xml += "&amp;"; break;
      case '<': xml += "&lt;"; break;
      case '>': xml += "&gt;"; break;
      case '\r': xml += "&#13;"; break;
      default:
        // Other control characters have no place in XML 1.0.
        xml += static_cast<unsigned char>(letter) < 0x20 && letter != '\n' && letter != '\t'
                   ? '?'
                   : letter;
    }
  }
}

class Writing {
 public:
  explicit Writing(std::string& xml) : xml_(xml) {}

  void put(const Value& value) {
    xml_ += "<value>";
    std::visit([this](const auto& each) { write(each); }, value.is);
    xml_ += "</value>\n";
  }

 private:
  void write(std::int64_t number) {
    const auto capped = std::clamp<std::int64_t>(number, std::numeric_limits<std::int32_t>::min(),
                                                 std::numeric_limits<std::int32_t>::max());
    xml_ += "<int>" + std::to_string(capped) + "</int>";
  }
  void write(bool flag) { xml_ += flag ? "<boolean>1</boolean>" : "<boolean>0</boolean>"; }
  void write(double number) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.17g", number);
    xml_ += std::string("<double>") + text.data() + "</double>";
  }
  void write(const std::string& text) {
    xml_ += "<string>";
    put_text(xml_, text);
    xml_ += "</string>";
  }
  void write(const Array& items) {
    xml_ += "<array><data>\n";
    for (const Value& item : items) put(item);
    xml_ += "</data></array>";
  }
  void write(const Struct& members) {
    xml_ += "<struct>\n";
    for (const auto& [name, value] : members) {
      xml_ += "<member>\n<name>";
      put_text(xml_, name);
      xml_ += "</name>\n";
      put(value);
      xml_ += "</member>\n";
    }
    xml_ += "</struct>";
  }

  std::string& xml_;
};

}  // namespace

Result<Call, std::string> read_call(std::string_view xml) {
  return Reading().read(xml);
}

std::string write(const Outcome& outcome) {
  std::string xml = "<?xml version='1.0'?>\n<methodResponse>\n";
  Writing writing(xml);
  if (outcome) {
    xml += "<params>\n<param>\n";
    writing.put(*outcome);
    xml += "</param>\n</params>\n";
  } else {
    const Fault& fault = outcome.error();
    xml += "<fault>\n";
    writing.put(Struct{{"faultCode", static_cast<int>(fault.code)}, {"faultString", fault.text}});
    xml += "</fault>\n";
  }
  return xml + "</methodResponse>\n";
}

}  // namespace recover::api::xmlrpc
