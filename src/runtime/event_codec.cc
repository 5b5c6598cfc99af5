#include "runtime/event_codec.h"

#include <boost/json.hpp>

#include <array>
#include <type_traits>
#include <utility>

#include "runtime/fields.h"
#include "runtime/json_text.h"

namespace recover::runtime {
namespace {

namespace json = boost::json;

class Writer {
 public:
  explicit Writer(JsonText& text) : text_(text) {}
  template <class T>
  void operator()(std::string_view name, const T& value) {
    text_.key(name);
    write(value);
  }

 private:
  template <class T>
  requires std::is_arithmetic_v<T>
  void write(T value) { text_.value(value); }
  void write(const std::string& value) { text_.value(value); }
  void write(Duration value) { text_.value(value.count()); }
  void write(Instant value) { text_.value(value.time_since_epoch().count()); }
  template <class Tag>
  void write(base::Id<Tag> id) {
    text_.value(id.value);
  }
  template <class Tag>
  void write(base::Index<Tag> index) {
    text_.value(index.value);
  }
  template <class T>
  void write(const std::optional<T>& value) {
    if (value) {
      write(*value);
    } else {
      text_.value(nullptr);
    }
  }
  void write(core::Incarnation value) {
    text_.begin('{');
    fields(*this, value);
    text_.end('}');
  }
  template <class T>
  requires std::is_enum_v<T>
  void write(T value) { text_.value(static_cast<std::uint64_t>(value)); }

  JsonText& text_;
};

// The greatest value of each enum an event holds; a number beyond it is an error.
template <class Enum>
std::uint64_t last_of() {
  if constexpr (std::is_same_v<Enum, core::ProbeOutcome>) {
    return static_cast<std::uint64_t>(core::ProbeOutcome::Unknown);
  } else if constexpr (std::is_same_v<Enum, core::CommandOutcome>) {
    return static_cast<std::uint64_t>(core::CommandOutcome::Refused);
  } else if constexpr (std::is_same_v<Enum, core::ServiceRequest>) {
    return static_cast<std::uint64_t>(core::ServiceRequest::Signal);
  } else if constexpr (std::is_same_v<Enum, core::OwnerVerdict>) {
    return static_cast<std::uint64_t>(core::OwnerVerdict::Lost);
  } else {
    return core::count_of<Enum>() - 1;
  }
}

class Reader {
 public:
  explicit Reader(const json::object& object) : object_(object) {}

  template <class T>
  void operator()(std::string_view name, T& value) {
    const json::value* found = object_.if_contains(json::string_view(name.data(), name.size()));
    if (found != nullptr && !from_json(*found, value) && wrong_.empty()) wrong_ = name;
  }
  const std::string& wrong() const { return wrong_; }

 private:
  template <class T>
  static bool integer(const json::value& from, T& to) {
    if (const auto* number = from.if_int64()) {
      if (!std::in_range<T>(*number)) return false;
      to = static_cast<T>(*number);
      return true;
    }
    if (const auto* number = from.if_uint64()) {
      if (!std::in_range<T>(*number)) return false;
      to = static_cast<T>(*number);
      return true;
    }
    return false;
  }
  static bool from_json(const json::value& from, bool& to) {
    const bool* value = from.if_bool();
    if (value != nullptr) to = *value;
    return value != nullptr;
  }
  static bool from_json(const json::value& from, double& to) {
    if (!from.is_number()) return false;
    to = from.to_number<double>();
    return true;
  }
  static bool from_json(const json::value& from, std::string& to) {
    const json::string* value = from.if_string();
    if (value != nullptr) to.assign(value->data(), value->size());
    return value != nullptr;
  }
  static bool from_json(const json::value& from, Duration& to) {
    std::int64_t ticks = 0;
    if (!integer(from, ticks)) return false;
    to = Duration{ticks};
    return true;
  }
  static bool from_json(const json::value& from, Instant& to) {
    Duration since{};
    if (!from_json(from, since)) return false;
    to = Instant{since};
    return true;
  }
  template <class Tag>
  static bool from_json(const json::value& from, base::Id<Tag>& to) {
    return integer(from, to.value);
  }
  template <class Tag>
  static bool from_json(const json::value& from, base::Index<Tag>& to) {
    return integer(from, to.value);
  }
  template <class T>
  static bool from_json(const json::value& from, std::optional<T>& to) {
    if (from.is_null()) {
      to.reset();
      return true;
    }
    return from_json(from, to.emplace());
  }
  static bool from_json(const json::value& from, core::Incarnation& to) {
    if (!from.is_object()) return false;
    Reader reader(from.get_object());
    fields(reader, to);
    return reader.wrong().empty();
  }
  template <class T>
  requires std::is_enum_v<T>
  static bool from_json(const json::value& from, T& to) {
    std::uint64_t number = 0;
    if (!integer(from, number) || number > last_of<T>()) return false;
    to = static_cast<T>(number);
    return true;
  }
  template <class T>
  requires(std::is_integral_v<T> &&
           !std::is_same_v<T, bool>) static bool from_json(const json::value& from, T& to) {
    return integer(from, to);
  }

  const json::object& object_;
  std::string wrong_;
};

using Decoder = Result<core::Event, std::string> (*)(const json::object&);

template <std::size_t I>
Result<core::Event, std::string> decode_as(const json::object& object) {
  std::variant_alternative_t<I, core::Event> event{};
  Reader reader(object);
  fields(reader, event);
  if (!reader.wrong().empty()) return Unexpected("field " + reader.wrong() + " has a wrong value");
  return core::Event(std::move(event));
}

constexpr std::size_t kKinds = std::variant_size_v<core::Event>;

template <std::size_t... I>
std::array<std::pair<std::string_view, Decoder>, kKinds> make_decoders(
    std::index_sequence<I...> /*all*/) {
  return {std::pair{core::name_of(core::Event(std::in_place_index<I>)), &decode_as<I>}...};
}

}  // namespace

std::string encode(const core::Event& event) {
  JsonText text;
  text.begin('{');
  Writer writer(text);
  // `fields` serves reading as well, and so wants what can be written to.
  std::visit([&writer]<class Kind>(const Kind& kind) { fields(writer, const_cast<Kind&>(kind)); },
             event);
  text.end('}');
  return text.take();
}

Result<core::Event, std::string> decode(std::string_view type, std::string_view text) {
  static const auto kDecoders = make_decoders(std::make_index_sequence<kKinds>());
  for (const auto& [name, decoder] : kDecoders) {
    if (name != type) continue;
    json::error_code error;
    const json::value value = json::parse(json::string_view(text.data(), text.size()), error);
    if (error) return Unexpected("not JSON: " + error.message());
    if (!value.is_object()) return Unexpected(std::string("not a JSON object"));
    return decoder(value.get_object());
  }
  return Unexpected("unknown event \"" + std::string(type) + "\"");
}

}  // namespace recover::runtime
