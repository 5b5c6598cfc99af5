#include <array>
#include <chrono>
#include <future>

#include <recover/check.h>
#include <recover/classification.h>
#include <recover/error.h>

namespace recover {
namespace {

// Total over the enum: an array that is too short does not compile, one too long is a test failure.
template <class Enum, std::size_t N>
std::string_view name_of(const std::array<std::string_view, N>& names, Enum value) noexcept {
  const auto index = static_cast<std::size_t>(value);
  RECOVER_CHECK(index < N);
  return names[index];
}

constexpr std::array<std::string_view, 7> kErrorClassNames = {
    "connection",          "timeout",        "authentication", "permission",
    "resource_exhaustion", "data_integrity", "unknown",
};
constexpr std::array<std::string_view, 4> kPersistenceNames = {
    "transient",
    "permanent",
    "throttled",
    "cancelled",
};
constexpr std::array<std::string_view, 2> kDeliveryNames = {"not_sent", "unknown"};
constexpr std::array<std::string_view, 9> kErrorKindNames = {
    "operation_failed",   "cancelled",      "timeout_exceeded",
    "call_not_permitted", "bulkhead_full",  "request_not_permitted",
    "no_healthy_target",  "pool_exhausted", "invalid_config",
};

static_assert(kErrorClassNames.size() == static_cast<std::size_t>(ErrorClass::Unknown) + 1);
static_assert(kPersistenceNames.size() == static_cast<std::size_t>(Persistence::Cancelled) + 1);
static_assert(kDeliveryNames.size() == static_cast<std::size_t>(Delivery::Unknown) + 1);
static_assert(kErrorKindNames.size() == static_cast<std::size_t>(ErrorKind::InvalidConfig) + 1);

// Messages come from anywhere; a log line must stay one line.
void append_one_line(std::string& line, std::string_view text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    line += byte < 0x20 || byte == 0x7f ? ' ' : c;
  }
}

}  // namespace

std::string_view to_string(ErrorClass value) noexcept {
  return name_of(kErrorClassNames, value);
}
std::string_view to_string(Persistence value) noexcept {
  return name_of(kPersistenceNames, value);
}
std::string_view to_string(Delivery value) noexcept {
  return name_of(kDeliveryNames, value);
}
std::string_view to_string(ErrorKind value) noexcept {
  return name_of(kErrorKindNames, value);
}

Error Error::from_code(std::error_code code, std::string message) {
  Error error(ErrorKind::OperationFailed, classify(code), std::move(message));
  error.code_ = code;
  return error;
}

Error Error::from_exception(std::exception_ptr exception) {
  RECOVER_CHECK(exception != nullptr);
  Error error(ErrorKind::OperationFailed, classify(exception));
  try {
    std::rethrow_exception(exception);
  } catch (const Error& thrown) {
    error = thrown;
  } catch (const std::system_error& thrown) {
    error.code_ = thrown.code();
    error.message_ = thrown.what();
  } catch (const std::future_error& thrown) {
    error.code_ = thrown.code();
    error.message_ = thrown.what();
  } catch (const std::exception& thrown) {
    error.message_ = thrown.what();
  } catch (...) {
    error.message_ = "an exception that is not a std::exception";
  }
  error.exception_ = std::move(exception);
  return error;
}

Error Error::cancelled() {
  return Error(ErrorKind::Cancelled, {.persistence = Persistence::Cancelled});
}

Error Error::timeout_exceeded(Delivery delivery) {
  return Error(ErrorKind::TimeoutExceeded,
               {.error_class = ErrorClass::Timeout, .delivery = delivery});
}

Error Error::invalid_config(std::string message) {
  return Error(ErrorKind::InvalidConfig,
               {.persistence = Persistence::Permanent, .delivery = Delivery::NotSent},
               std::move(message));
}

std::string Error::to_string() const {
  std::string line(recover::to_string(kind_));
  line += ' ';
  line += recover::to_string(classification_.error_class);
  line += '/';
  line += recover::to_string(classification_.persistence);
  if (!message_.empty()) {
    line += ": ";
    append_one_line(line, message_);
  }
  if (code_) {
    line += " [" + std::string(code_.category().name()) + ':' + std::to_string(code_.value()) + ' ';
    append_one_line(line, code_.message());
    line += ']';
  }
  if (retry_after()) {
    const auto wait = std::chrono::ceil<std::chrono::milliseconds>(*retry_after());
    line += " retry after " + std::to_string(wait.count()) + " ms";
  }
  return line;
}

}  // namespace recover
