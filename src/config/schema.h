// JSON Schemas (draft 2020-12) for editors, made from the tables that also parse.
#pragma once

#include <string>

namespace recover::config {

// Of the configuration file.
std::string json_schema();
// Of one document of a playbook file.
std::string playbook_json_schema();

}  // namespace recover::config
