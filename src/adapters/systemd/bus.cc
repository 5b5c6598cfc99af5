#include "adapters/systemd/bus.h"

#include <boost/asio/post.hpp>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

namespace recover::adapters::systemd {
namespace {

using namespace std::chrono_literals;
using boost::system::error_code;

constexpr Duration kPauseMin = 100ms;
constexpr Duration kPauseMax = 15s;
// Messages taken in one go; the rest waits for the loop's next turn.
constexpr int kBurst = 256;
constexpr std::uint64_t kCallTimeoutUs = 25'000'000;

std::string reason(int error) {
  return std::generic_category().message(-error);
}

}  // namespace

void BusDeleter::operator()(sd_bus* bus) const noexcept {
  sd_bus_close(bus);
  sd_bus_unref(bus);
}

// Owned by the library until its destroy callback, whatever happens to the connection.
struct Bus::Pending {
  Bus* bus = nullptr;
  Answer answer;
};
struct Bus::Matching {
  Signal signal;
};

Bus::Bus(boost::asio::io_context& loop, std::string address, BusListener listener)
    : loop_(loop),
      address_(std::move(address)),
      listener_(std::move(listener)),
      descriptor_(loop),
      timer_(loop),
      retry_(loop),
      pause_(kPauseMin) {}

Bus::~Bus() {
  *alive_ = false;
  if (descriptor_.is_open()) descriptor_.release();
}

void Bus::open() {
  if (!bus_) connect();
}

void Bus::connect() {
  ++round_;
  sd_bus* made = nullptr;
  int result = sd_bus_new(&made);
  std::unique_ptr<sd_bus, BusDeleter> bus(made);
  const auto then = [&result](int next) {
    if (result >= 0) result = next;
  };
  if (result >= 0) {
    if (address_.empty()) {
      const char* given = secure_getenv("DBUS_SYSTEM_BUS_ADDRESS");
      then(sd_bus_set_address(made,
                              given != nullptr ? given : "unix:path=/run/dbus/system_bus_socket"));
    } else {
      then(sd_bus_set_address(made, address_.c_str()));
    }
    then(sd_bus_set_bus_client(made, 1));
    then(sd_bus_set_connected_signal(made, 1));
    then(sd_bus_set_description(made, "recoverd"));
    then(sd_bus_set_method_call_timeout(made, kCallTimeoutUs));
    then(sd_bus_start(made));
  }
  if (result < 0) return drop("the system bus cannot be reached: " + reason(result));
  bus_ = std::move(bus);
  error_code error;
  descriptor_.assign(sd_bus_get_fd(made), error);
  if (error) return drop("the system bus cannot be watched: " + error.message());
  match(
      "type='signal',sender='org.freedesktop.DBus.Local',path='/org/freedesktop/DBus/Local',"
      "interface='org.freedesktop.DBus.Local',member='Connected'",
      [this](sd_bus_message*) {
        connected_ = true;
        pause_ = kPauseMin;
        listener_.connected();
      });
  process();
}

void Bus::drop(const std::string& why) {
  ++round_;
  if (descriptor_.is_open()) descriptor_.release();
  timer_.cancel();
  bus_.reset();
  connected_ = false;
  retry_later();
  listener_.lost(why);
}

void Bus::retry_later() {
  retry_.expires_after(pause_);
  pause_ = std::min(2 * pause_, kPauseMax);
  retry_.async_wait([this, alive = alive_](error_code error) {
    if (!error && *alive && !bus_) connect();
  });
}

void Bus::process() {
  if (!bus_ || processing_) return;
  processing_ = true;
  int result = 1;
  for (int taken = 0; result > 0 && taken < kBurst; ++taken) {
    result = sd_bus_process(bus_.get(), nullptr);
  }
  processing_ = false;
  if (result < 0) return drop("the system bus is gone: " + reason(result));
  arm();
}

// Asks for the loop's next turn when there is something to send, or more to take in.
void Bus::arm() {
  if (!bus_) return;
  const int events = sd_bus_get_events(bus_.get());
  if (events < 0) return drop("the system bus is gone: " + reason(events));
  const auto turn = [this, alive = alive_, round = round_](error_code error) {
    if (error || !*alive || round != round_) return;
    descriptor_.cancel();  // The other direction is asked for anew.
    process();
  };
  descriptor_.cancel();
  if ((events & POLLIN) != 0) {
    descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_read, turn);
  }
  if ((events & POLLOUT) != 0) {
    descriptor_.async_wait(boost::asio::posix::stream_descriptor::wait_write, turn);
  }
  arm_timer();
}

void Bus::arm_timer() {
  std::uint64_t until = UINT64_MAX;
  if (sd_bus_get_timeout(bus_.get(), &until) < 0 || until == UINT64_MAX) {
    timer_.cancel();
    return;
  }
  // The library counts on CLOCK_MONOTONIC, as the steady clock does.
  timer_.expires_at(std::chrono::steady_clock::time_point(
      std::chrono::microseconds(static_cast<std::int64_t>(until))));
  timer_.async_wait([this, alive = alive_, round = round_](error_code error) {
    if (!error && *alive && round == round_) process();
  });
}

MessagePtr Bus::method(const char* destination, const char* path, const char* interface,
                       const char* member) {
  sd_bus_message* made = nullptr;
  if (!bus_ ||
      sd_bus_message_new_method_call(bus_.get(), &made, destination, path, interface, member) < 0) {
    return nullptr;
  }
  return MessagePtr(made);
}

int Bus::on_answer(sd_bus_message* message, void* pending, sd_bus_error* /*error*/) {
  // Moved out: the answer may end what holds it.
  const Answer answer = std::move(static_cast<Pending*>(pending)->answer);
  if (!answer) return 0;
  if (const sd_bus_error* refused = sd_bus_message_get_error(message)) {
    answer(Unexpected(BusError{refused->name != nullptr ? refused->name : "",
                               refused->message != nullptr ? refused->message : "refused"}));
  } else {
    answer(message);
  }
  return 0;
}

void Bus::call(const MessagePtr& message, Answer answer) {
  if (!bus_ || !message) return;
  auto pending = std::make_unique<Pending>(Pending{this, std::move(answer)});
  sd_bus_slot* slot = nullptr;
  const int sent = sd_bus_call_async(bus_.get(), &slot, message.get(), &Bus::on_answer,
                                     pending.get(), kCallTimeoutUs);
  if (sent < 0) return;  // The connection is going down; lost() follows.
  sd_bus_slot_set_destroy_callback(slot, [](void* made) { delete static_cast<Pending*>(made); });
  pending.release();
  sd_bus_slot_set_floating(slot, 1);
  sd_bus_slot_unref(slot);
  if (again_ || processing_) return;
  again_ = true;
  boost::asio::post(loop_, [this, alive = alive_] {
    if (!*alive) return;
    again_ = false;
    process();
  });
}

int Bus::on_signal(sd_bus_message* message, void* matching, sd_bus_error* /*error*/) {
  static_cast<Matching*>(matching)->signal(message);
  return 0;
}

void Bus::match(const std::string& rule, Signal signal) {
  if (!bus_) return;
  auto matching = std::make_unique<Matching>(Matching{std::move(signal)});
  sd_bus_slot* slot = nullptr;
  const int added = sd_bus_add_match_async(bus_.get(), &slot, rule.c_str(), &Bus::on_signal,
                                           nullptr, matching.get());
  if (added < 0) return;
  sd_bus_slot_set_destroy_callback(slot, [](void* made) { delete static_cast<Matching*>(made); });
  matching.release();
  sd_bus_slot_set_floating(slot, 1);
  sd_bus_slot_unref(slot);
}

}  // namespace recover::adapters::systemd
