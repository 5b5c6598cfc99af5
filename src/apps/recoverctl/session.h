// What a command runs in: the client, what the user asked for globally, and where to print.
#pragma once

#include <boost/json/fwd.hpp>

#include <functional>
#include <ostream>
#include <string>
#include <string_view>

#include "apps/recoverctl/client.h"
#include "apps/recoverctl/failure.h"
#include "apps/recoverctl/table.h"
#include "apps/recoverctl/terminal.h"

namespace recover::apps {

struct Session {
  Client client;
  Terminal terminal;
  bool json = false;
  std::ostream& out;
  std::ostream& err;

  void print(const Table& table) const { out << table.text(terminal); }
  // With --json the document, else what `show` prints of it.
  void show(const boost::json::value& document,
            const std::function<void(const boost::json::object&)>& text) const;
  std::string paint(std::string_view state) const {
    return painted(terminal, tone_of(state), state);
  }
};

// Throws Failure; returns how the command ended.
using Command = std::function<Exit(const Session&)>;

// ---- reading the daemon's JSON: empty, 0 or false where there is no such field -----------------

std::string text_of(const boost::json::object& object, std::string_view name);
double number_of(const boost::json::object& object, std::string_view name);
bool truth_of(const boost::json::object& object, std::string_view name);
const boost::json::array& array_of(const boost::json::object& object, std::string_view name);
const boost::json::object& object_of(const boost::json::value& value);
// "a, b"
std::string joined(const boost::json::array& array);
// "2026-01-31T12:00:00.000Z" -> "2026-01-31 12:00:00"; "-" of nothing.
std::string short_time(const std::string& time);
// "12:00:00.000"
std::string clock_time(const std::string& time);

}  // namespace recover::apps
