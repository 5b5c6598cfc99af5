// One connection to the system's D-Bus inside the engine's loop: no call ever waits for an answer.
//
// Knows nothing of units. A connection that is lost comes back with a growing pause; who listens is
// told of both. Invariant: after lost() nothing of the old connection is called any more.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <systemd/sd-bus.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <recover/result.h>
#include <recover/time.h>

namespace recover::adapters::systemd {

struct BusDeleter {
  void operator()(sd_bus* bus) const noexcept;
};
struct MessageDeleter {
  void operator()(sd_bus_message* message) const noexcept { sd_bus_message_unref(message); }
};
using MessagePtr = std::unique_ptr<sd_bus_message, MessageDeleter>;

struct BusError {
  std::string name;  // "org.freedesktop.systemd1.NoSuchUnit"; empty: there was no answer.
  std::string message;
};
// The answer, read to its end or not; lives during the call only.
using Answer = std::function<void(Result<sd_bus_message*, BusError>)>;
using Signal = std::function<void(sd_bus_message*)>;

struct BusListener {
  std::function<void()> connected;
  std::function<void(std::string why)> lost;
};

// Loop thread.
class Bus {
 public:
  // `address`: empty, the system's bus. The loop outlives the bus.
  Bus(boost::asio::io_context& loop, std::string address, BusListener listener);
  ~Bus();
  Bus(const Bus&) = delete;
  Bus& operator=(const Bus&) = delete;

  // Connects, and again whenever the connection is lost.
  void open();
  bool connected() const noexcept { return connected_; }

  // A call to fill in and give to call(); null when not connected.
  MessagePtr method(const char* destination, const char* path, const char* interface,
                    const char* member);
  // `answer` is called once, from a later turn; never when the connection is lost before.
  void call(const MessagePtr& message, Answer answer);
  // Until the connection is lost. `rule` as of dbus-daemon's AddMatch.
  void match(const std::string& rule, Signal signal);

 private:
  struct Pending;
  struct Matching;

  static int on_answer(sd_bus_message* message, void* pending, sd_bus_error* error);
  static int on_signal(sd_bus_message* message, void* matching, sd_bus_error* error);

  void connect();
  void drop(const std::string& why);
  void retry_later();
  void process();
  void arm();
  void arm_timer();

  boost::asio::io_context& loop_;
  std::string address_;
  BusListener listener_;
  boost::asio::posix::stream_descriptor descriptor_;
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer retry_;
  std::unique_ptr<sd_bus, BusDeleter> bus_;
  bool connected_ = false;
  bool processing_ = false;
  bool again_ = false;       // A turn is queued.
  std::uint64_t round_ = 0;  // Grows with every connection: older handlers are void.
  Duration pause_{};
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace recover::adapters::systemd
