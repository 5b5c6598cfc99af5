#include "import/import.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "import/words.h"
#include "import/yaml.h"

namespace recover::import {
namespace {

namespace fs = std::filesystem;

fs::path golden() {
  return fs::path(__FILE__).parent_path().parent_path().parent_path() / "test/golden/import";
}
std::string read(const fs::path& path) {
  const std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}
Source source(const std::string& name) {
  return {name, read(golden() / name)};
}

// RECOVER_GOLDEN=write writes them anew, to be read before they are committed.
void expect_golden(const std::string& name, const Imported& imported) {
  const fs::path path = golden() / name;
  const char* mode = std::getenv("RECOVER_GOLDEN");  // NOLINT(concurrency-mt-unsafe)
  if (mode != nullptr && std::string(mode) == "write") std::ofstream(path) << imported.yaml;
  EXPECT_EQ(imported.yaml, read(path));
}

TEST(Import, SupervisordGolden) {
  expect_golden("shop.supervisord.yaml", import_files({source("shop.supervisord.conf")}));
}
TEST(Import, MonitGolden) {
  expect_golden("shop.monitrc.yaml", import_files({source("shop.monitrc")}));
}
TEST(Import, UnitsGolden) {
  expect_golden("shop.units.yaml",
                import_files({source("shop-cache.service"), source("shop.service")}));
}

TEST(Import, KnowsFilesByNameAndContent) {
  EXPECT_EQ(format_of({"/lib/x.service", ""}), Format::Unit);
  EXPECT_EQ(format_of({"/etc/monit/monitrc", ""}), Format::Monit);
  EXPECT_EQ(format_of({"a.conf", "; hm\n[program:x]\ncommand=y\n"}), Format::Supervisor);
  EXPECT_EQ(format_of({"nginx", "  check process nginx with pidfile /x\n"}), Format::Monit);
  EXPECT_EQ(format_of({"override.conf", "[Service]\nExecStart=/bin/x\n"}), Format::Unit);
  EXPECT_FALSE(format_of({"hello.txt", "hello\n"}));
  const Imported nothing = import_files({{"hello.txt", "hello\n"}});
  EXPECT_EQ(nothing.services, 0U);
  ASSERT_EQ(nothing.remarks.size(), 1U);
  EXPECT_EQ(nothing.remarks[0].find("hello.txt:1: "), 0U);
}

TEST(Import, ServicesOfOneNameGetNumbers) {
  const Imported both = import_files({{"a.service", "[Service]\nExecStart=/bin/a\n"},
                                      {"b/a.service", "[Service]\nExecStart=/bin/b\n"}});
  EXPECT_NE(both.yaml.find("\n  a:\n"), std::string::npos);
  EXPECT_NE(both.yaml.find("\n  a-2:\n"), std::string::npos);
}

TEST(Import, StderrHasALogOfItsOwnWhereItHadOne) {
  const auto output = [](const std::string& keys) {
    const std::string yaml =
        import_files({{"a.conf", "[program:x]\ncommand=/bin/x\n" + keys}}).yaml;
    const auto at = yaml.find("output: ");
    return at == std::string::npos ? std::string() : yaml.substr(at, yaml.find('\n', at) - at);
  };
  EXPECT_EQ(output("stderr_logfile=/x.err\n"), "output: {stderr: /x.err}");
  EXPECT_EQ(output("stderr_logfile=AUTO\n"), "output: {stderr: separate}");
  EXPECT_EQ(output("stderr_logfile=/x.err\nredirect_stderr=true\n"), "");
  EXPECT_EQ(output("stderr_logfile=NONE\n"), "");
  EXPECT_EQ(output("stdout_logfile=/x\nstderr_logfile=/x\n"), "output: {path: /x}");
}

TEST(Import, DependenciesInACircleLoseOne) {
  const Imported both =
      import_files({{"a.service", "[Unit]\nRequires=b.service\n[Service]\nExecStart=/bin/a\n"},
                    {"b.service", "[Unit]\nRequires=a.service\n[Service]\nExecStart=/bin/b\n"}});
  EXPECT_NE(both.yaml.find("depends_on: [b]"), std::string::npos);
  EXPECT_EQ(both.yaml.find("depends_on: [a]"), std::string::npos);
}

TEST(Import, UnitsThatNeedSystemdStayThere) {
  const auto kept = [](const std::string& service) {
    return import_files({{"x.service", "[Service]\n" + service}}).yaml.find("systemd: x.service") !=
           std::string::npos;
  };
  EXPECT_TRUE(kept("Type=oneshot\nExecStart=/bin/x\n"));
  EXPECT_TRUE(kept("BusName=org.x\nExecStart=/bin/x\n"));
  EXPECT_TRUE(kept("ExecStart=/bin/x $OPTIONS\n"));
  EXPECT_TRUE(kept("ExecStart=/bin/x %H\n"));
  EXPECT_TRUE(kept("RuntimeDirectory=x\nExecStart=/bin/x\n"));
  EXPECT_TRUE(kept("ExecStart=/bin/x\nExecStart=/bin/y\n"));
  EXPECT_FALSE(kept("ExecStart=/bin/old\nExecStart=\nExecStart=-/bin/x\n"));
}

TEST(Import, TemplatesAreRemarked) {
  const Imported none = import_files({{"x@.service", "[Service]\nExecStart=/bin/x %i\n"}});
  EXPECT_EQ(none.services, 0U);
  EXPECT_NE(none.remarks.at(0).find("template"), std::string::npos);
}

TEST(Import, CommandsAreTakenApartLikeShellsDo) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(command_words(R"(a "b c" 'd "e' f\ g "")"), (Words{"a", "b c", "d \"e", "f g", ""}));
  EXPECT_FALSE(command_words("a 'b"));
  EXPECT_EQ(command_words("   "), Words{});
}

TEST(Import, ScalarsKeepTheirText) {
  EXPECT_EQ(scalar("plain-1.2/x"), "plain-1.2/x");
  EXPECT_EQ(scalar("yes"), "\"yes\"");
  EXPECT_EQ(scalar(""), "\"\"");
  EXPECT_EQ(scalar("a: b"), "\"a: b\"");
  EXPECT_EQ(scalar("${HOME}"), "\"$${HOME}\"");
  EXPECT_EQ(scalar("a\"\\\n"), "\"a\\\"\\\\\\n\"");
}

// Whatever is thrown at it, it answers.
TEST(Import, DamagedFilesAreNoTrouble) {
  for (const std::string name : {"shop.supervisord.conf", "shop.monitrc", "shop.service"}) {
    const std::string whole = source(name).text;
    for (std::size_t cut = 0; cut < whole.size(); cut += 7) {
      std::string text = whole.substr(0, cut);
      import_files({{name, text}});
      std::reverse(text.begin(), text.end());
      import_files({{name, text}});
    }
  }
}

}  // namespace
}  // namespace recover::import
