#include "core/expression.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace recover::core {
namespace {

class Table final : public Facts {
 public:
  explicit Table(std::map<std::string, Fact, std::less<>> facts) : facts_(std::move(facts)) {}
  Fact value(std::string_view name) const override {
    const auto found = facts_.find(name);
    return found == facts_.end() ? Fact() : found->second;
  }

 private:
  std::map<std::string, Fact, std::less<>> facts_;
};

Truth evaluate(std::string_view text) {
  const Table facts({{"running", true},
                     {"maintenance", false},
                     {"error_rate", 0.02},
                     {"response_time", 0.8},
                     {"mode", std::string("semi-automatic")}});
  const Result<Expression, SyntaxError> parsed = Expression::parse(text);
  EXPECT_TRUE(parsed.has_value()) << text << ": " << parsed.error().message;
  return parsed->evaluate(facts);
}

TEST(Expression, ComparesAndCombines) {
  for (const char* yes :
       {"running", "running == true", "maintenance == false", "not maintenance", "error_rate < 5%",
        "error_rate >= 0.02", "response_time < 1000ms", "response_time <= 0.8s",
        "mode == semi-automatic", "mode == \"semi-automatic\"", "mode != automatic",
        "running and not maintenance", "maintenance or running",
        "(maintenance or running) and error_rate != 3", "running or missing",
        "not (maintenance and missing)", "maintenance and missing or running"}) {
    EXPECT_EQ(evaluate(yes), Truth::True) << yes;
  }
  for (const char* no : {"maintenance", "error_rate > 2KiB", "not running",
                         "missing and maintenance", "response_time > 1m"}) {
    EXPECT_EQ(evaluate(no), Truth::False) << no;
  }
  for (const char* missing : {"missing", "not missing", "missing < 1", "missing and running",
                              "error_rate", "error_rate == true", "mode == 3"}) {
    EXPECT_EQ(evaluate(missing), Truth::Missing) << missing;
  }
  EXPECT_EQ(Expression().evaluate(Table({})), Truth::True);
}

TEST(Expression, SaysWhereTheTextIsWrong) {
  const std::map<std::string, std::size_t> wrong = {
      {"", 0},    {"error_rate <", 12}, {"a and", 5},    {"(a", 2},
      {"a b", 2}, {"a < 5parsec", 5},   {"a == \"x", 5}, {"a < true", 1},
      {"and", 0}, {"a < -", 4},
  };
  for (const auto& [text, at] : wrong) {
    const Result<Expression, SyntaxError> parsed = Expression::parse(text);
    ASSERT_FALSE(parsed.has_value()) << text;
    EXPECT_EQ(parsed.error().at, at) << text << ": " << parsed.error().message;
    EXPECT_FALSE(parsed.error().message.empty());
  }
}

TEST(Expression, IsBounded) {
  EXPECT_FALSE(Expression::parse(std::string(Expression::kLengthMax + 1, 'a')).has_value());
  EXPECT_FALSE(Expression::parse(std::string(500, '(') + "a" + std::string(500, ')')).has_value());
  std::string many = "a";
  for (std::size_t i = 0; i < Expression::kNodesMax; ++i) many += " or a";
  EXPECT_FALSE(Expression::parse(many).has_value());
}

TEST(Expression, NamesAndObservedValues) {
  const Expression expression = *Expression::parse("error_rate < 1% and (up or error_rate < 5)");
  EXPECT_EQ(expression.names(), (std::vector<std::string>{"error_rate", "up"}));
  EXPECT_EQ(expression.observed(Table({{"error_rate", 0.2}})), "error_rate = 0.2, up = missing");
}

}  // namespace
}  // namespace recover::core
