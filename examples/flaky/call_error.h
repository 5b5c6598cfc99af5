// What one request can fail with, and what the policies are to make of it.
//
// The library never sees errno or HTTP: a type of our own says what happened, and ErrorTraits
// translates it into the class, the persistence and the delivery that the policies decide by.
#pragma once

#include <optional>
#include <string>
#include <system_error>

#include <recover/classification.h>
#include <recover/error.h>
#include <recover/operation.h>
#include <recover/time.h>

namespace flaky {

struct CallError {
  int status = 0;  // Of HTTP; 0: no answer, see `number`.
  std::optional<recover::Duration> retry_after = std::nullopt;
  int number = 0;    // errno, when there was no answer.
  bool sent = true;  // False: the server cannot have seen the request.
};

}  // namespace flaky

template <>
struct recover::ErrorTraits<flaky::CallError> {
  static Classification classify(const flaky::CallError& error) {
    if (error.status != 0) return classify_http_status(error.status, error.retry_after);
    Classification classification = classify_errno(error.number);
    if (!error.sent) classification.delivery = Delivery::NotSent;
    return classification;
  }

  static Error to_error(const flaky::CallError& error) {
    const std::string message = error.status != 0 ? "HTTP status " + std::to_string(error.status)
                                                  : std::generic_category().message(error.number);
    return Error(ErrorKind::OperationFailed, classify(error), message);
  }
};
