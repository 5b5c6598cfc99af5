// The inside of Units: every unit with what is known of it, and the commands in flight.
#pragma once

#include <boost/asio/steady_timer.hpp>

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "adapters/systemd/bus.h"
#include "adapters/systemd/unit_state.h"
#include "adapters/systemd/units.h"

namespace recover::adapters::systemd {

class Units::Room {
 public:
  Room(boost::asio::io_context& loop, UnitsOptions options);
  ~Room();

  void watch(const core::Policy& policy);
  void look(core::ServiceIndex service);
  void perform(const core::Command& command, const core::Policy& policy, ports::Done done);
  void cancel(core::CommandId command);

 private:
  struct Unit {
    explicit Unit(std::string unit_name) : name(std::move(unit_name)), state(name) {}
    std::string name;  // With its suffix.
    std::string path;  // Of its object.
    core::ServiceIndex service;
    core::LimitPolicy limits;
    std::optional<core::LimitPolicy> limits_set;  // As systemd was last told.
    UnitProperties properties;
    UnitWatch state;
    bool reading = false;
    bool again = false;  // Something changed while it was being read.
    bool matched = false;
  };
  struct Job {
    Job(boost::asio::io_context& loop, core::Command wanted, ports::Done report)
        : command(std::move(wanted)), done(std::move(report)), deadline(loop) {}
    core::Command command;
    ports::Done done;
    boost::asio::steady_timer deadline;
    std::string unit;
    std::string path;  // Of systemd's job; empty: not known yet.
  };

  using Report = std::function<void(core::CommandOutcome, std::string)>;

  void connected();
  void lost(const std::string& why);
  void subscribe();
  void follow(Unit& unit);
  void read(Unit& unit);
  void read_all();
  void changed(Unit& unit, sd_bus_message* message);
  void told(Unit& unit, bool confirmed);
  void emit(const Unit& unit, const UnitReport& report);
  Unit* find(const std::string& name);
  void limit(Unit& unit);

  void begin(const core::Command& command, const core::Policy& policy, Unit& unit,
             ports::Done done);
  void settle(const core::Command& command, const Unit& unit, const ports::Done& done);
  MessagePtr manager(const char* member);
  void call_job(core::CommandId id, const char* member, const std::string& unit);
  void call_kill(core::CommandId id, const std::string& unit, int signal);
  void call_freezer(core::CommandId id, core::ActionKind action, const std::string& unit);
  void job_removed(sd_bus_message* message);
  void verify(core::CommandId id, const std::string& unit, const std::string& result);
  void end(core::CommandId id, core::CommandOutcome outcome, std::string detail);
  void report(const ports::Done& done, core::CommandFinished finished);

  boost::asio::io_context& loop_;
  UnitsOptions options_;
  Bus bus_;
  std::map<std::string, std::unique_ptr<Unit>> units_;
  std::map<core::CommandId, std::unique_ptr<Job>> jobs_;
  std::string lost_why_;  // Empty: the bus is there, or was never asked for.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace recover::adapters::systemd
