// Conditions of playbooks: "error_rate < 0.01", "maintenance == false", "a > 1 and not b".
//
// Total and free of side effects: every expression ends, whatever the facts are. A missing fact is
// neither true nor false: what depends on it is Missing, and callers treat Missing as "not met".
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <recover/result.h>

namespace recover::core {

// What a fact is worth: nothing known, a truth, a number in its base unit (seconds, bytes, a ratio
// from 0 to 1), or a word.
using Fact = std::variant<std::monostate, bool, double, std::string>;

// Where expressions look facts up by name, e.g. "service_running" or "disk_available".
class Facts {
 public:
  Facts() = default;
  Facts(const Facts&) = delete;
  Facts& operator=(const Facts&) = delete;
  virtual ~Facts() = default;

  // monostate when it is not known now. Any name; unknown ones are refused when a playbook loads.
  virtual Fact value(std::string_view name) const = 0;
};

// The names an expression may use; the linter refuses others and suggests the nearest.
const std::vector<std::string_view>& fact_names();

enum class Truth : std::uint8_t { False, True, Missing };

// `at` is the offset in the text where it went wrong, from 0.
struct SyntaxError {
  std::string message;
  std::size_t at = 0;
};

// A parsed expression in postfix form. A value: copy, move, compare.
// Grammar: or := and ("or" and)*; and := not ("and" not)*; not := "not" not | "(" or ")" |
// comparison; comparison := name [op literal]; op := < <= > >= == !=;
// literal := number[%|ms|s|m|h|d|KiB|MiB|GiB|TiB] | true | false | word | "text".
class Expression {
 public:
  static constexpr std::size_t kLengthMax = 1024;  // Characters.
  static constexpr std::size_t kNodesMax = 64;

  Expression() = default;  // True.
  static Result<Expression, SyntaxError> parse(std::string_view text);

  Truth evaluate(const Facts& facts) const;
  // The observed values of the names in it, "error_rate = 0.2, service_running = missing".
  std::string observed(const Facts& facts) const;
  const std::string& text() const noexcept { return text_; }
  std::vector<std::string> names() const;
  // Whether `is` says yes to one of the names.
  template <class Predicate>
  bool names_any(Predicate is) const {
    return std::ranges::any_of(
        nodes_, [&is](const Node& node) { return !node.name.empty() && is(node.name); });
  }

  friend bool operator==(const Expression& a, const Expression& b) { return a.text_ == b.text_; }

 private:
  enum class Op : std::uint8_t {
    Name,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Equal,
    NotEqual,
    And,
    Or,
    Not
  };
  struct Node {
    Op op = Op::Name;
    std::string name;  // Of Name and the comparisons.
    Fact literal;      // Of the comparisons.
  };
  friend class ExpressionParser;

  static Truth compare(const Node& node, const Fact& fact);

  std::string text_;
  std::vector<Node> nodes_;
};

}  // namespace recover::core
