// The client's end of one keep-alive connection: just enough HTTP/1.1 for a price.
//
// Every wait is a poll() that ends at the deadline which the policies put into CallContext, so no
// call outlives its timeout and no thread has to be interrupted.
#pragma once

#include <cstdint>
#include <string>

#include <recover/result.h>
#include <recover/time.h>

#include "call_error.h"
#include "descriptor.h"

namespace flaky {

class Connection {
 public:
  // To a port of this machine.
  static recover::Result<Connection, CallError> open(std::uint16_t port, recover::Instant deadline);

  // The body of a 200; every other status is a CallError.
  recover::Result<std::string, CallError> get(const std::string& path, recover::Instant deadline);

  // Nothing to read and not closed by the server: fit for another request.
  bool quiet() const;

 private:
  explicit Connection(Descriptor socket) : socket_(std::move(socket)) {}

  recover::Result<std::string, CallError> receive(recover::Instant deadline);

  Descriptor socket_;
};

}  // namespace flaky
