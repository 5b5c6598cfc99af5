// One table describes the keys of one map of the file; from it come the parser, the check for
// unknown keys and the JSON Schema, so the three cannot drift apart.
//
// A default shown in the schema is the one of the struct itself.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "config/codec.h"

namespace recover::config {

enum class Need : std::uint8_t { Optional, Required };

// T is default constructible; a table is built once and then only read.
template <class T>
class Table {
 public:
  using Read = std::function<void(Reader&, const Entry&, T&)>;
  using Check = std::function<void(Reader&, const Node&, T&)>;

  // `defaults`: what absent keys leave, for the schema; where it is not what T itself begins as.
  explicit Table(std::string doc, T defaults = T{})
      : doc_(std::move(doc)), defaults_(std::move(defaults)) {}

  // A key that fills a member.
  template <class C, class V>
  Table add(std::string key, V C::*member, const Codec<std::type_identity_t<V>>& codec,
            std::string doc, Need need = Need::Optional) && {
    std::string fallback;
    if (need == Need::Optional && codec.show) fallback = codec.show(defaults_.*member);
    return std::move(*this).put(
        {std::move(key), std::move(doc), codec.shape, std::move(fallback), need,
         [member, read = codec.read](Reader& reader, const Entry& entry, T& value) {
           auto got = read(reader, entry.value, value.*member);
           if (got) value.*member = std::move(*got);
         }});
  }
  // A key that may be absent for good.
  template <class C, class V>
  Table add(std::string key, std::optional<V> C::*member, const Codec<V>& codec, std::string doc,
            Need need = Need::Optional) && {
    return std::move(*this).put(
        {std::move(key),
         std::move(doc),
         codec.shape,
         {},
         need,
         [member, read = codec.read](Reader& reader, const Entry& entry, T& value) {
           auto got = read(reader, entry.value, V{});
           if (got) value.*member = std::move(*got);
         }});
  }
  // A key that reads in its own way.
  Table add(std::string key, std::string shape, std::string doc, Read read,
            Need need = Need::Optional) && {
    return std::move(*this).put(
        {std::move(key), std::move(doc), std::move(shape), {}, need, std::move(read)});
  }
  // A key whose value is a map over the same T.
  Table group(std::string key, const Table& inner) && {
    return std::move(*this).put({std::move(key),
                                 {},
                                 inner.shape(),
                                 {},
                                 Need::Optional,
                                 [inner](Reader& reader, const Entry& entry, T& value) {
                                   inner.apply(reader, entry.value, value);
                                 }});
  }
  // The keys of a part of T, beside its own.
  template <class M>
  Table within(M T::*member, const Table<M>& inner) && {
    for (const auto& field : inner.fields_) {
      fields_.push_back({field.key, field.doc, field.shape, field.fallback, field.need,
                         [member, read = field.read](Reader& reader, const Entry& entry, T& value) {
                           read(reader, entry, value.*member);
                         }});
    }
    for (const auto& each : inner.checks_) {
      checks_.push_back([member, each](Reader& reader, const Node& node, T& value) {
        each(reader, node, value.*member);
      });
    }
    return std::move(*this);
  }
  // A key that is promised but refused for now; not in the schema.
  Table later(std::string key, std::string message) && {
    return std::move(*this).put(
        {std::move(key),
         {},
         {},
         {},
         Need::Optional,
         [message = std::move(message)](Reader& reader, const Entry& entry, T&) {
           reader.mistake(entry.place, message);
         }});
  }
  // Exactly one of these keys, or one refused for now, must be there.
  Table exactly_one(std::vector<std::string> keys) && {
    one_of_ = std::move(keys);
    return std::move(*this);
  }
  // Runs after the keys were read, whatever went wrong before.
  Table check(Check check) && {
    checks_.push_back(std::move(check));
    return std::move(*this);
  }

  // Reads a map into `value`; nothing counts as an empty map.
  void apply(Reader& reader, const Node& node, T& value) const {
    if (node.kind != Node::Kind::Map && node.kind != Node::Kind::Null) {
      reader.unexpected(node, "a map");
      return;
    }
    for (const Entry& entry : node.entries) read_entry(reader, entry, value);
    for (const Field& field : fields_) {
      if (field.need == Need::Required && !node.has(field.key)) {
        reader.mistake(node.place, "`" + field.key + "` is missing");
      }
    }
    if (!one_of_.empty()) check_one_of(reader, node);
    for (const Check& each : checks_) each(reader, node, value);
  }

  // A JSON Schema object.
  std::string shape() const {
    if (!schema_wanted) return kNoShape;
    std::string properties;
    std::string required;
    for (const Field& field : fields_) {
      if (field.shape.empty()) continue;
      properties +=
          (properties.empty() ? "" : ",") + json_string(field.key) + ":" + annotated(field);
      if (field.need != Need::Required) continue;
      required += (required.empty() ? "" : ",") + json_string(field.key);
    }
    std::string out = R"({"type":"object")";
    if (!doc_.empty()) out += ",\"description\":" + json_string(doc_);
    out += R"(,"additionalProperties":false,"properties":{)" + properties + "}";
    if (!required.empty()) out += ",\"required\":[" + required + "]";
    if (!one_of_.empty()) out += ",\"oneOf\":[" + one_of_shape() + "]";
    return out + "}";
  }

 private:
  template <class Other>
  friend class Table;

  struct Field {
    std::string key;
    std::string doc;
    std::string shape;
    std::string fallback;  // JSON; empty: none.
    Need need = Need::Optional;
    Read read;
  };

  Table put(Field field) && {
    if (!schema_wanted) {
      field.doc = field.fallback = std::string();
      if (!field.shape.empty()) field.shape = kNoShape;  // One without any is refused for now.
      field.shape.shrink_to_fit();
    }
    fields_.push_back(std::move(field));
    return std::move(*this);
  }

  void read_entry(Reader& reader, const Entry& entry, T& value) const {
    std::vector<std::string_view> known;
    for (const Field& field : fields_) {
      if (field.key == entry.key) {
        field.read(reader, entry, value);
        return;
      }
      known.push_back(field.key);
    }
    reader.mistake(entry.place, "unknown key `" + entry.key + "`" + did_you_mean(entry.key, known));
  }

  void check_one_of(Reader& reader, const Node& node) const {
    std::string wanted;
    std::string found;
    int count = 0;
    for (const std::string& key : one_of_) {
      wanted += (wanted.empty() ? "`" : ", `") + key + "`";
      if (!node.has(key)) continue;
      found += (count++ == 0 ? "`" : " and `") + key + "`";
    }
    for (const Field& field : fields_) {
      if (field.shape.empty() && node.has(field.key)) return;  // That was refused already.
    }
    if (count == 1) return;
    reader.mistake(node.place, "exactly one of " + wanted + " is needed, found " +
                                   (count == 0 ? "none" : found));
  }

  static std::string annotated(const Field& field) {
    std::string extra;
    if (!field.doc.empty()) extra += "\"description\":" + json_string(field.doc) + ",";
    if (!field.fallback.empty()) extra += "\"default\":" + field.fallback + ",";
    if (field.shape == "{}" && !extra.empty()) return "{" + extra.substr(0, extra.size() - 1) + "}";
    return "{" + extra + field.shape.substr(1);
  }

  std::string one_of_shape() const {
    std::string out;
    for (const std::string& key : one_of_) {
      out += (out.empty() ? "" : ",") + std::string(R"({"required":[)") + json_string(key) + "]}";
    }
    return out;
  }

  std::string doc_;
  T defaults_;
  std::vector<Field> fields_;
  std::vector<std::string> one_of_;
  std::vector<Check> checks_;
};

// A value that is a map described by a table, which must outlive the codec (a static).
template <class T>
Codec<T> object(const Table<T>& table) {
  Codec<T> codec;
  codec.shape = table.shape();
  codec.read = [&table](Reader& reader, const Node& node, T value) -> std::optional<T> {
    table.apply(reader, node, value);
    return value;
  };
  return codec;
}

}  // namespace recover::config
