// What the API may see and ask of this daemon: glue between its Backend and our parts.
#pragma once

#include <boost/asio/io_context.hpp>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "api/backend.h"
#include "apps/recoverd/edges.h"
#include "apps/recoverd/engine_clock.h"
#include "apps/recoverd/journal_file.h"
#include "runtime/loop.h"

namespace recover::apps {

// All references outlive the server.
struct ApiParts {
  runtime::Loop& loop;
  Edges& edges;
  const EngineClock& clock;
  JournalFile& journal;
  boost::asio::io_context& io;
  std::function<Result<api::Reloaded, api::Mistakes>()> reload;
  std::function<Result<api::Reloaded, api::Mistakes>()> preview;  // What reload() would do.
  // Executes the program on the disk anew. Error: why not.
  std::function<Result<void, std::string>()> reexec;
  // Ends recoverd and its services, once an answer under way has left.
  std::function<void()> shutdown;
  // Path and text of the main file.
  std::function<std::pair<std::string, std::string>()> configuration;
  std::function<std::string()> configuration_history;  // Backend's.
  std::function<std::string(std::string)> redact;      // Takes secrets out of a text.
  std::string state_dir;                               // As on the command line.
  std::int64_t pid = 0;  // Of the process that was started as recoverd.
};

api::Backend make_backend(const ApiParts& parts);

}  // namespace recover::apps
