// Programs that read a source: their output as a dump, or as a text.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "apps/recoverd_backup/program_run.h"
#include "apps/recoverd_backup/sources/source.h"

namespace recover::apps {

// What `spec` prints. Whole only when it ended with 0 and, where `last_words` are given, printed
// those at its end.
backup::Outcome<std::unique_ptr<Dump>> dump_of(ProgramSpec spec, std::stop_token stop,
                                               std::string last_words = {});

// The same for a file of a source; what `spec` points to must live as long as the result.
std::function<backup::Outcome<std::unique_ptr<Dump>>()> dump_later(ProgramSpec spec,
                                                                   std::stop_token stop,
                                                                   std::string last_words = {});

inline constexpr std::size_t kProgramTextMax = std::size_t{4} << 20U;

// Runs it to its end. Failure: it did not end with 0, printed more than kProgramTextMax, or a stop
// was requested.
backup::Outcome<std::string> text_of(ProgramSpec spec, const std::stop_token& stop);

// A password as a file in memory that only its owner may read, for programs it is handed to. Owned
// by `account`, if there is one.
backup::Outcome<posix::Descriptor> secret_file(std::string_view text, const Account* account);

// Waits until it can be read. Failure: a stop was requested, or nothing came for so long.
backup::Outcome<void> wait_readable(int descriptor, const std::stop_token& stop,
                                    std::chrono::seconds limit = std::chrono::hours(24));

}  // namespace recover::apps
