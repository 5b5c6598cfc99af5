// What the readers find and the writer writes: services as recoverd knows them, and remarks.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "import/import.h"

namespace recover::import {

// Texts as the yaml will have them; empty: not given.
struct ServiceDraft {
  std::string name;
  std::string origin;  // "web.service", "[program:web]"
  // Exactly one of these four is given.
  std::vector<std::string> command;
  std::string unit;      // systemd:
  std::string pid_file;  // observe:
  std::string match;     // observe:
  // Of a command:
  std::string user;
  std::string group;
  std::vector<std::pair<std::string, std::string>> environment;
  std::string working_directory;
  std::string umask;
  std::size_t instances = 1;
  bool ready_notify = false;
  std::string ready_after;
  std::string start_timeout;
  std::string watchdog;
  std::string stop_signal;
  std::string stop_timeout;
  std::string reload_signal;
  std::string memory;
  std::string cpu;
  std::string pids;
  std::string files;
  std::string output;
  std::string errors;  // A log of its own for stderr: `separate` or a path.
  std::string rotate;
  std::string keep;
  // Of all:
  std::string group_name;
  std::vector<std::string> depends_on;
  std::vector<std::string> aliases;  // Other names it is depended on by.
  std::vector<std::string> probes;   // One flow map each, "{tcp: {port: 80}}".
  std::vector<std::string> notes;    // Comments above it.
};

struct Draft {
  std::vector<ServiceDraft> services;
  std::vector<std::string> remarks;
  std::vector<std::string> notes;   // Comments at the end of the file.
  std::string monitoring_interval;  // Of probes.
  std::vector<std::string> disks;
  std::string disk_usage;  // "80%"
  std::string memory_usage;
  std::string cpu_usage;

  void remark(const std::string& path, std::size_t line, const std::string& text) {
    remarks.push_back(path + ":" + std::to_string(line) + ": " + text);
  }
};

void read_supervisor(const Source& source, Draft& draft);
void read_monit(const Source& source, Draft& draft);
void read_unit(const Source& source, Draft& draft);

std::string write_yaml(const Draft& draft);

}  // namespace recover::import
