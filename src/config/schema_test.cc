#include "config/schema.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "config/builtin_playbooks.h"
#include "config/example_test.h"

namespace recover::config {
namespace {

TEST(Schema, HoldsEveryKeyOfTheTablesAndItsDefault) {
  const std::string schema = json_schema();
  EXPECT_TRUE(schema.starts_with(R"({"$schema":"https://json-schema.org/draft/2020-12/schema")"));
  for (
      const char* part :
      {R"("monitoring_interval":{"description":"Time between two looks of a probe.","default":"10s")",
       R"("blast_radius":{"description":)", R"("default":"25%")", R"("default":"10MiB")",
       R"("enum":["shadow","semi-automatic","automatic-limited","automatic"])",
       R"("oneOf":[{"required":["run"]},)", R"("additionalProperties":false)"}) {
    EXPECT_NE(schema.find(part), std::string::npos) << part;
  }
}

TEST(Schema, BracesAndBracketsMatch) {
  for (const std::string& schema : {json_schema(), playbook_json_schema()}) {
    int depth = 0;
    bool text = false;
    for (std::size_t i = 0; i < schema.size(); ++i) {
      if (schema[i] == '\\') {
        ++i;
      } else if (schema[i] == '"') {
        text = !text;
      } else if (!text) {
        depth += schema[i] == '{' || schema[i] == '[' ? 1 : 0;
        depth -= schema[i] == '}' || schema[i] == ']' ? 1 : 0;
      }
      ASSERT_GE(depth, 0);
    }
    EXPECT_EQ(depth, 0);
    EXPECT_FALSE(text);
  }
}

// By an independent validator, where there is one.
TEST(Schema, AcceptsTheExampleAndTheBuiltInPlaybooks) {
  if (std::system("python3 -c 'import jsonschema, yaml' 2>/dev/null") != 0) {
    GTEST_SKIP() << "python3 has no jsonschema or no yaml";
  }
  char folder[] = "/tmp/recoverd-schema-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const std::filesystem::path at(folder);
  std::ofstream(at / "schema.json") << json_schema();
  std::ofstream(at / "file.yaml") << kExample;
  std::ofstream playbooks(at / "playbooks.yaml");
  for (const BuiltinPlaybook& each : builtin_playbooks()) playbooks << "---\n" << each.text;
  playbooks.close();
  std::ofstream(at / "playbook.json") << playbook_json_schema();
  std::ofstream(at / "check.py")
      << "import json, sys, yaml, jsonschema\n"
         "def check(schema, text):\n"
         "    validator = jsonschema.Draft202012Validator(json.load(open(schema)))\n"
         "    validator.check_schema(validator.schema)\n"
         "    return [e.message for each in yaml.safe_load_all(open(text))\n"
         "            for e in validator.iter_errors(each)]\n"
         "f = sys.argv[1]\n"
         "wrong = check(f + '/schema.json', f + '/file.yaml')\n"
         "wrong += check(f + '/playbook.json', f + '/playbooks.yaml')\n"
         "open(f + '/unknown.yaml', 'w').write('zebra: 1')\n"
         "if not check(f + '/schema.json', f + '/unknown.yaml'): wrong.append('takes any key')\n"
         "print('\\n'.join(wrong))\n"
         "sys.exit(1 if wrong else 0)\n";
  EXPECT_EQ(std::system(("python3 " + (at / "check.py").string() + " " + at.string()).c_str()), 0);
  std::filesystem::remove_all(at);
}

}  // namespace
}  // namespace recover::config
