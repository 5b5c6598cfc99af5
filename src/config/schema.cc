#include "config/schema.h"

#include "config/json_text.h"
#include "config/tables.h"

namespace recover::config {
namespace {

std::string titled(const std::string& title, const std::string& shape) {
  return R"({"$schema":"https://json-schema.org/draft/2020-12/schema","title":)" +
         json_string(title) + "," + shape.substr(1) + "\n";
}

}  // namespace

void forgo_schema() {
  schema_wanted = false;
}

std::string json_schema() {
  return titled("recoverd configuration", root_table().shape());
}

std::string playbook_json_schema() {
  return titled("recoverd playbook", playbook_table().shape());
}

}  // namespace recover::config
