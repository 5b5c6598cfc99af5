// The REST API on a unix socket: HTTP/1.1, answered on the loop's thread, never blocking it.
//
// Who is calling is what the kernel says (SO_PEERCRED, SO_PEERGROUPS): root and recoverd's own user
// are admins, members of the operator group operators, everybody else the mode lets in viewers.
// Refuses oversized, slow and too many clients. Invariant: it changes nothing itself; it posts
// operator events and reads through the Backend.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include <recover/result.h>
#include <recover/time.h>

#include "api/backend.h"
#include "api/request.h"

namespace boost::asio {
class io_context;
}

namespace recover::api {

struct ServerOptions {
  std::string socket = {};  // Path; a dead one left behind is replaced. Mode 0660.
  // The socket is given to this group, and its members are operators.
  std::optional<gid_t> operator_group = {};
  // A whole request must have arrived within this of the connection or the answer before it.
  Duration read_timeout = std::chrono::seconds{15};
  Duration write_timeout = std::chrono::seconds{15};
  Duration stream_poll = std::chrono::milliseconds{200};  // How old an event gets in a stream.
  Duration heartbeat = std::chrono::seconds{15};
  // In place of the rule above; for tests and for other rules.
  std::function<Role(uid_t)> role_of = {};
};

class Server {
 public:
  static constexpr std::size_t kConnectionsMax = 64;
  static constexpr std::size_t kViewerConnectionsMax = 48;  // The rest is for operators.
  static constexpr std::size_t kBodyMax = 1U << 20U;        // Bytes.
  static constexpr std::size_t kHeaderMax = 16U << 10U;     // Bytes.

  // Listens from now on; answers while `loop` runs. `loop` and what the backend points to outlive
  // the server. Error: why the socket cannot be had, with its path.
  static Result<std::unique_ptr<Server>, std::string> listen(boost::asio::io_context& loop,
                                                             ServerOptions options,
                                                             Backend backend);
  ~Server();  // stop()
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Closes the socket and every connection, and removes the file. Loop thread, or loop not running.
  void stop();

 private:
  class Hall;
  explicit Server(std::shared_ptr<Hall> hall);

  std::shared_ptr<Hall> hall_;
};

}  // namespace recover::api
