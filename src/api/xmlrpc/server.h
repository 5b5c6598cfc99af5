// supervisord's XML-RPC on a unix socket and on a loopback address: POST /RPC2, GET /logtail/NAME,
// GET /mainlogtail.
//
// Who comes by the unix socket is who the kernel says; who knows the password is an admin. By TCP
// the password is asked for if there is one; else everybody may look and no more. Refuses requests
// that a web page made a browser send, and oversized, slow and too many clients. Loop thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include <recover/result.h>
#include <recover/time.h>

#include "api/backend.h"
#include "core/policy.h"

namespace boost::asio {
class io_context;
}

namespace recover::api::xmlrpc {

class Server {
 public:
  static constexpr std::size_t kConnectionsMax = 64;
  static constexpr std::size_t kTcpConnectionsMax = 48;
  static constexpr std::size_t kBodyMax = 1U << 20U;     // Bytes.
  static constexpr std::size_t kHeaderMax = 16U << 10U;  // Bytes.

  // Listens from now on; answers while `loop` runs. `loop` and what the backend points to outlive
  // the server. Error: why an address cannot be had.
  static Result<std::unique_ptr<Server>, std::string> listen(boost::asio::io_context& loop,
                                                             const core::XmlRpcPolicy& policy,
                                                             Backend backend);
  ~Server();  // stop()
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Closes the addresses and every connection, and removes the socket's file.
  void stop();
  // Of the TCP address, for tests; 0: none.
  std::uint16_t port() const;

 private:
  class Hall;
  explicit Server(std::shared_ptr<Hall> hall);

  std::shared_ptr<Hall> hall_;
};

}  // namespace recover::api::xmlrpc
