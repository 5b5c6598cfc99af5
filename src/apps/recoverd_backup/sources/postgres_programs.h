// Where PostgreSQL's programs are, and how they are told what to connect to: by variables, never by
// arguments, which every process of the machine can read. The password is not even in those: it is
// handed to them as a file.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backup/failure.h"
#include "base/secret.h"

namespace recover::apps {

// The program of the newest version installed where distributions put them, or the name as it is.
// `major`: of that version only, "15"; empty text: there is none.
std::string postgres_program(const std::string& name, const std::string& major = {});

struct PostgresTarget {
  std::vector<std::string> variables;  // "PGHOST=…", without the password.
  std::string rest;                    // What has no variable, as a connection string.
  std::string database;                // Empty: the user's own.
  std::string user;
  std::string password;
};

// Invalid: libpq cannot read it, or is not installed.
backup::Outcome<PostgresTarget> postgres_target(const base::Secret& dsn);

// The text of a PGPASSFILE for whatever is connected to. None: such a file cannot hold it.
std::optional<std::string> password_file(const std::string& password);

// A value as connection strings quote it: a database's name must not become more than that.
std::string conninfo(const std::string& key, const std::string& value);

}  // namespace recover::apps
