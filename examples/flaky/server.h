// A small HTTP server of prices on 127.0.0.1, as reliable as the weather it is told to have.
//
// One thread serves every connection from one poll() loop; it alone touches the sockets.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <recover/result.h>
#include <recover/time.h>

#include "descriptor.h"
#include "weather.h"

namespace flaky {

class Server {
 public:
  // Listens on a free port. `remark` ends each answer.
  static recover::Result<std::unique_ptr<Server>> start(std::string_view remark);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::uint16_t port() const noexcept { return port_; }
  // Takes effect within 10 ms. Any thread.
  void set_weather(Weather weather) noexcept { weather_.store(weather); }

 private:
  // A client's connection. `due` is when `reply` is to be sent; kNever while there is none.
  struct Peer {
    Descriptor socket;
    std::string request = {};
    std::string reply = {};
    Instant due = recover::kNever;
  };

  Server(Descriptor anchor, std::uint16_t port, std::string_view remark);

  void run(const std::stop_token& stop);
  void open_or_close(Weather weather);
  void wait_for_traffic();
  void accept_peers();
  void receive(Peer& peer, Weather weather);
  void take_request(Peer& peer, Weather weather);
  void send_due(Peer& peer) const;
  std::string reply_to(std::string_view request, const Treatment& treatment) const;

  // Bound but never listening: keeps the port ours while we refuse connections.
  Descriptor anchor_;
  std::uint16_t port_;
  std::string remark_;
  std::atomic<Weather> weather_{Weather::Healthy};
  Descriptor listener_;
  std::vector<Peer> peers_;
  std::uint64_t requests_ = 0;
  std::jthread thread_;  // Last: uses all of the above.
};

}  // namespace flaky
