// Recursive descent into postfix, then a stack of truths. Both are bounded: by kLengthMax,
// kNodesMax and kDepthMax, whatever the text.
#include "core/expression.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <system_error>
#include <utility>

namespace recover::core {
namespace {

constexpr std::size_t kDepthMax = 64;

constexpr bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}
constexpr bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
constexpr bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
constexpr bool is_word(char c) {
  return is_letter(c) || is_digit(c) || c == '.' || c == '-';
}

struct Unit {
  std::string_view name;
  double factor;
};
// To the base unit: seconds, bytes, a ratio.
constexpr auto kUnits = std::to_array<Unit>({
    {"", 1.0},
    {"%", 0.01},
    {"ms", 1e-3},
    {"s", 1.0},
    {"m", 60.0},
    {"h", 3'600.0},
    {"d", 86'400.0},
    {"B", 1.0},
    {"KiB", 1'024.0},
    {"MiB", 1'048'576.0},
    {"GiB", 1'073'741'824.0},
    {"TiB", 1'099'511'627'776.0},
});

constexpr Truth truth(bool value) {
  return value ? Truth::True : Truth::False;
}

Truth truth_of(const Fact& fact) noexcept {
  const bool* flag = std::get_if<bool>(&fact);
  return flag == nullptr ? Truth::Missing : truth(*flag);
}

// Kleene: what does not depend on the missing half is known.
constexpr Truth both(Truth a, Truth b) {
  if (a == Truth::False || b == Truth::False) return Truth::False;
  return a == Truth::Missing || b == Truth::Missing ? Truth::Missing : Truth::True;
}
constexpr Truth negated(Truth a) {
  return a == Truth::Missing ? a : truth(a == Truth::False);
}
constexpr Truth either(Truth a, Truth b) {
  return negated(both(negated(a), negated(b)));
}

std::string fact_text(const Fact& fact) {
  if (const bool* flag = std::get_if<bool>(&fact)) return *flag ? "true" : "false";
  if (const std::string* word = std::get_if<std::string>(&fact)) return *word;
  const double* number = std::get_if<double>(&fact);
  if (number == nullptr) return "missing";
  std::array<char, 32> text{};
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), *number, std::chars_format::general, 6);
  return {text.data(), end.ptr};
}

}  // namespace

const std::vector<std::string_view>& fact_names() {
  static const std::vector<std::string_view> kNames = {
      "service_running", "health_check_passing", "error_rate",     "response_time", "restart_count",
      "maintenance",     "disk_usage",           "disk_available", "memory_usage",  "cpu_usage",
      "queue_depth",
  };
  return kNames;
}

class ExpressionParser {
 public:
  explicit ExpressionParser(std::string_view text) : text_(text) {}

  Result<Expression, SyntaxError> parse() {
    if (text_.size() > Expression::kLengthMax) {
      fail("longer than 1024 characters");
    } else {
      disjunction();
      skip_space();
      if (!error_ && at_ < text_.size()) fail("expected \"and\", \"or\" or the end");
    }
    if (error_) return Unexpected(*std::move(error_));
    result_.text_ = std::string(text_);
    return std::move(result_);
  }

 private:
  using Op = Expression::Op;

  void fail(std::string message) {
    if (!error_) error_ = SyntaxError{std::move(message), at_};
  }
  void skip_space() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }
  bool take(std::string_view token) {
    skip_space();
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  std::string_view peek_word() {
    skip_space();
    std::size_t end = at_;
    if (end < text_.size() && is_letter(text_[end])) {
      while (end < text_.size() && is_word(text_[end])) ++end;
    }
    return text_.substr(at_, end - at_);
  }
  bool take_word(std::string_view word) {
    if (peek_word() != word) return false;
    at_ += word.size();
    return true;
  }
  void push(Expression::Node node) {
    if (result_.nodes_.size() == Expression::kNodesMax) return fail("too many conditions");
    result_.nodes_.push_back(std::move(node));
  }

  // Recursion by parentheses and `not`, as deep as kDepthMax.
  // NOLINTBEGIN(misc-no-recursion)
  void disjunction() {
    conjunction();
    while (!error_ && take_word("or")) {
      conjunction();
      push({Op::Or, {}, {}});
    }
  }
  void conjunction() {
    negation();
    while (!error_ && take_word("and")) {
      negation();
      push({Op::And, {}, {}});
    }
  }
  void negation() {
    if (++depth_ > kDepthMax) fail("nested too deeply");
    if (error_) return;
    if (take_word("not")) {
      negation();
      push({Op::Not, {}, {}});
    } else if (take("(")) {
      disjunction();
      if (!error_ && !take(")")) fail("expected \")\"");
    } else {
      comparison();
    }
    --depth_;
  }
  // NOLINTEND(misc-no-recursion)
  void comparison() {
    const std::string_view name = peek_word();
    if (name.empty() || name == "and" || name == "or") return fail("expected a name");
    at_ += name.size();
    const std::size_t at = at_;
    const std::optional<Op> op = comparator();
    if (!op) return push({Op::Name, std::string(name), {}});
    Fact fact = literal();
    const bool ordered = *op != Op::Equal && *op != Op::NotEqual;
    if (!error_ && ordered && !std::holds_alternative<double>(fact)) {
      at_ = at;
      return fail("only numbers can be less or greater");
    }
    push({*op, std::string(name), std::move(fact)});
  }
  std::optional<Op> comparator() {
    // Longer ones first: "<" begins "<=".
    static constexpr auto kOperators = std::to_array<std::pair<std::string_view, Op>>({
        {"<=", Op::LessEqual},
        {">=", Op::GreaterEqual},
        {"==", Op::Equal},
        {"!=", Op::NotEqual},
        {"<", Op::Less},
        {">", Op::Greater},
    });
    for (const auto& [token, op] : kOperators) {
      if (take(token)) return op;
    }
    return std::nullopt;
  }
  Fact literal() {
    skip_space();
    const char first = at_ < text_.size() ? text_[at_] : '\0';
    if (is_digit(first) || first == '-' || first == '.') return number();
    if (first == '"') return quoted();
    const std::string_view word = peek_word();
    if (word.empty()) fail("expected a number, true, false, a word or a quoted text");
    at_ += word.size();
    if (word == "true" || word == "false") return word == "true";
    return std::string(word);
  }
  Fact quoted() {
    const std::size_t end = text_.find('"', at_ + 1);
    if (end == std::string_view::npos) {
      fail("the text has no closing quote");
      return {};
    }
    std::string value(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return value;
  }
  Fact number() {
    double value = 0.0;
    const char* begin = text_.data() + at_;
    const auto [end, code] =
        std::from_chars(begin, text_.data() + text_.size(), value, std::chars_format::fixed);
    if (code != std::errc() || !std::isfinite(value)) {
      fail("not a number");
      return {};
    }
    at_ += static_cast<std::size_t>(end - begin);
    std::size_t last = at_;
    while (last < text_.size() && (is_word(text_[last]) || text_[last] == '%')) ++last;
    const auto* unit = std::ranges::find(kUnits, text_.substr(at_, last - at_), &Unit::name);
    if (unit == kUnits.end()) {
      fail("unknown unit; one of %, ms, s, m, h, d, KiB, MiB, GiB, TiB");
      return {};
    }
    at_ = last;
    return value * unit->factor;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  std::optional<SyntaxError> error_;
  Expression result_;
};

Result<Expression, SyntaxError> Expression::parse(std::string_view text) {
  return ExpressionParser(text).parse();
}

Truth Expression::compare(const Node& node, const Fact& fact) {
  // Different kinds do not compare: as good as not known.
  if (fact.index() != node.literal.index()) return Truth::Missing;
  if (const double* a = std::get_if<double>(&fact)) {
    const double b = std::get<double>(node.literal);
    if (std::isnan(*a)) return Truth::Missing;
    if (node.op == Op::Less) return truth(*a < b);
    if (node.op == Op::LessEqual) return truth(*a <= b);
    if (node.op == Op::Greater) return truth(*a > b);
    if (node.op == Op::GreaterEqual) return truth(*a >= b);
  }
  return truth((fact == node.literal) == (node.op == Op::Equal));
}

Truth Expression::evaluate(const Facts& facts) const {
  std::array<Truth, kNodesMax> stack{};
  std::size_t size = 0;
  for (const Node& node : nodes_) {
    switch (node.op) {
      case Op::Name: stack.at(size++) = truth_of(facts.value(node.name)); break;
      case Op::Less:
      case Op::LessEqual:
      case Op::Greater:
      case Op::GreaterEqual:
      case Op::Equal:
      case Op::NotEqual: stack.at(size++) = compare(node, facts.value(node.name)); break;
      case Op::And:
        --size;
        stack.at(size - 1) = both(stack.at(size - 1), stack.at(size));
        break;
      case Op::Or:
        --size;
        stack.at(size - 1) = either(stack.at(size - 1), stack.at(size));
        break;
      case Op::Not: stack.at(size - 1) = negated(stack.at(size - 1)); break;
    }
  }
  return size == 0 ? Truth::True : stack.front();
}

std::vector<std::string> Expression::names() const {
  std::vector<std::string> names;
  for (const Node& node : nodes_) {
    if (node.name.empty() || std::ranges::find(names, node.name) != names.end()) continue;
    names.push_back(node.name);
  }
  return names;
}

std::string Expression::observed(const Facts& facts) const {
  std::string text;
  for (auto node = nodes_.begin(); node != nodes_.end(); ++node) {
    if (node->name.empty()) continue;
    if (std::find_if(nodes_.begin(), node,
                     [&node](const Node& before) { return before.name == node->name; }) != node) {
      continue;
    }
    if (!text.empty()) text += ", ";
    text += node->name;
    text += " = ";
    text += fact_text(facts.value(node->name));
  }
  return text;
}

}  // namespace recover::core
