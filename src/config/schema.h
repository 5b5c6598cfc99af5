// JSON Schemas (draft 2020-12) for editors, made from the tables that also parse.
#pragma once

#include <string>

namespace recover::config {

// A daemon needs no schema, which would take most of the tables' memory and of the time to make
// them. Before the first file is read; then the schemas are empty.
void forgo_schema();

// Of the configuration file.
std::string json_schema();
// Of one document of a playbook file.
std::string playbook_json_schema();

}  // namespace recover::config
