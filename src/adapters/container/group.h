// One `container:` service: which containers it is, and what was last told of each.
#pragma once

#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "adapters/container/container_state.h"
#include "adapters/container/containers.h"

namespace recover::adapters::container {

class Containers::Group : public std::enable_shared_from_this<Group> {
 public:
  Group(Containers& owner, core::ContainerSpec wanted, std::string socket_path)
      : spec(std::move(wanted)),
        socket(std::move(socket_path)),
        owner_(owner),
        ask_again_(owner.loop_) {}

  // Asks the engine what there is now. A question under way is asked once more.
  void read();
  void hear(const EngineEvent& event);
  void lost(const std::string& why);
  // Everything is told again.
  void forget();
  std::vector<std::string> ids() const;

  core::ServiceIndex service;
  const core::ContainerSpec spec;
  const std::string socket;

 private:
  struct Member {
    std::string id;
    bool stop_asked = false;
    bool ran = false;
    int cleanups = 0;             // Since it started, up to its end being told.
    bool cleaned_up = false;      // While it is held.
    Instant held_until = kNever;  // Its end is known, and not told before; kNever: it is not held.
    std::optional<ContainerReport> told;

    // Another container has its place.
    void becomes(const std::string& other);
    // What was heard of a stop: it is over, or of a run before.
    void forget_end();
  };

  bool concerns(const EngineEvent& event) const;
  Member* find(const EngineEvent& event);
  void list();
  void settle(std::vector<std::string> ids);
  void inspect(std::size_t position, const std::string& id);
  void missing(const std::string& why);
  // `tells_late`: the engine says only after its end that it was stopped.
  void observe(std::size_t position, const ContainerFacts& facts, bool tells_late);
  void tell(std::uint32_t instance, const ContainerReport& report);
  void answered();
  static bool cleaned_up_twice(Member& member, const EngineEvent& event);
  void ask_again_at(Instant when);
  bool holds_back(Member& member, const ContainerFacts& facts);

  Containers& owner_;
  boost::asio::steady_timer ask_again_;
  std::vector<Member> members_;  // By instance.
  std::size_t waiting_ = 0;      // Answers.
  bool again_ = false;
  bool unreachable_ = false;
  bool told_missing_ = false;
};

}  // namespace recover::adapters::container
