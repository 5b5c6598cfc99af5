// What a command says to a PostgreSQL server: connects, asks one thing after the other, ends once.
//
// Every wait ends at the command's deadline or when it is called off. The server is told to give up
// soon after us, also when we are gone. Sent, and no answer: in doubt, as it may have been done.
#pragma once

#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <recover/result.h>

#include "adapters/database/effectors.h"
#include "base/secret.h"
#include "clients/postgres_session.h"

namespace recover::adapters::database {

// Loop thread.
class Conversation {
 public:
  explicit Conversation(const Tools& tools);
  Conversation(const Conversation&) = delete;
  Conversation& operator=(const Conversation&) = delete;
  virtual ~Conversation();

  // `done` once, from the loop, unless the conversation is destroyed before.
  void start(const base::Secret& dsn, Duration limit, std::function<void(effects::Outcome)> done);
  void cancel() { give_up("cancelled"); }

 protected:
  // The connection is there.
  virtual void begin() = 0;

  using Then = std::function<void(const clients::PostgresReply&)>;
  // An error ends the conversation: Unknown if the end of something that changes is not known.
  void look(const std::string& sql, const std::vector<std::string>& parameters, const Then& then);
  void change(const std::string& sql, const std::vector<std::string>& parameters,
              std::function<void(clients::PostgresAnswer)> then);
  void end(effects::Outcome outcome);

 private:
  void connected(Duration limit);
  void give_up(std::string why);

  Tools tools_;
  boost::asio::steady_timer limit_;
  std::shared_ptr<clients::PostgresSession> session_;
  std::function<void(effects::Outcome)> done_;
  bool changing_ = false;  // Something that changes was sent and is not answered.
};

// A statement's error as an outcome; `sent`: it may have been carried out.
effects::Outcome outcome_of(const clients::PostgresError& error, bool sent);

// An effector each of whose commands is a conversation.
class ConversationEffector : public ports::Effector {
 public:
  explicit ConversationEffector(Tools tools) : tools_(std::move(tools)) {}

  void perform(const core::Command& command, const core::Policy& policy, ports::Done done) override;
  void cancel(core::CommandId command) override;

 protected:
  struct Plan {
    base::Secret dsn;  // Empty: that of the service's first postgres probe.
    std::unique_ptr<Conversation> conversation;
  };
  // What to say, or why there is nothing to be said.
  virtual Result<Plan, effects::Outcome> prepare(const core::Command& command,
                                                 const core::Policy& policy) const = 0;
  const Tools& tools() const { return tools_; }

 private:
  Tools tools_;
  std::map<core::CommandId, std::unique_ptr<Conversation>> running_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace recover::adapters::database
