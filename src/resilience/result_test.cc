#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <variant>

#include <recover/error.h>
#include <recover/result.h>

namespace recover {
namespace {

using Number = Result<int, std::string>;
using Done = Result<void, std::string>;

// Keeps count of how many of its kind are alive.
struct Counted {
  int* alive;
  int value;

  Counted(int* counter, int v) : alive(counter), value(v) { ++*alive; }
  Counted(const Counted& other) : Counted(other.alive, other.value) {}
  Counted(Counted&& other) noexcept : Counted(other.alive, std::exchange(other.value, -1)) {}
  Counted& operator=(const Counted&) = delete;
  Counted& operator=(Counted&&) = delete;
  ~Counted() { --*alive; }
};

TEST(Result, HoldsAValueOrAnError) {
  const Number good = 7;
  ASSERT_TRUE(good.has_value());
  EXPECT_EQ(*good, 7);
  EXPECT_EQ(good.value_or(1), 7);

  const Number bad = Unexpected("no");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error(), "no");
  EXPECT_EQ(bad.value_or(1), 1);

  EXPECT_TRUE(Done().has_value());
  EXPECT_EQ(Done(Unexpected("no")).error(), "no");
}

TEST(Result, TheWrongAlternativeIsABug) {
  const Number bad = Unexpected("no");
  const Number good = 7;
  EXPECT_DEATH((void)*bad, "CHECK failed");
  EXPECT_DEATH((void)bad.value(), "CHECK failed");
  EXPECT_DEATH((void)good.error(), "CHECK failed");
  EXPECT_DEATH(Done(Unexpected("no")).value(), "CHECK failed");
  EXPECT_DEATH((void)Done().error(), "CHECK failed");
}

TEST(Result, MovesAValueThatCannotBeCopied) {
  Result<std::unique_ptr<int>> source = std::make_unique<int>(3);
  Result<std::unique_ptr<int>> target = std::move(source);
  EXPECT_EQ(**target, 3);
  const std::unique_ptr<int> taken = *std::move(target);
  EXPECT_EQ(*taken, 3);
  static_assert(!std::is_copy_constructible_v<Result<std::unique_ptr<int>>>);
}

TEST(Result, DestroysWhatItHoldsOnce) {
  using Either = Result<Counted, Counted>;
  int alive = 0;
  {
    Either a{Counted(&alive, 1)};
    Either b{Unexpected(Counted(&alive, 2))};
    EXPECT_EQ(alive, 2);
    a = b;
    EXPECT_EQ(a.error().value, 2);
    b = Either{Counted(&alive, 3)};
    EXPECT_EQ(b->value, 3);
    const Either& same = a;
    a = same;
    EXPECT_EQ(a.error().value, 2);
    EXPECT_EQ(alive, 2);
  }
  EXPECT_EQ(alive, 0);
}

TEST(Result, ErrorOrIsTheErrorOrAStandIn) {
  EXPECT_EQ(Number(7).error_or("fine"), "fine");
  const Number bad = Unexpected("no");
  EXPECT_EQ(bad.error_or("fine"), "no");
  EXPECT_EQ(Done().error_or("fine"), "fine");
  EXPECT_EQ(Done(Unexpected("no")).error_or("fine"), "no");

  using Owner = Result<int, std::unique_ptr<int>>;
  const std::unique_ptr<int> moved = Owner(Unexpected(std::make_unique<int>(3))).error_or(nullptr);
  EXPECT_EQ(*moved, 3);
}

template <class R, class... Args>
concept Emplaces = requires(R result, Args... args) {
  result.emplace(args...);
};

TEST(Result, EmplaceReplacesEitherAlternative) {
  struct Noisy : Counted {
    Noisy(int* counter, int v) noexcept : Counted(counter, v) {}
  };
  int alive = 0;
  {
    Result<Noisy, Counted> either = Unexpected(Counted(&alive, 1));
    EXPECT_EQ(either.emplace(&alive, 2).value, 2);
    EXPECT_EQ(alive, 1);
    either.emplace(&alive, 3);
    ASSERT_TRUE(either.has_value());
    EXPECT_EQ(either->value, 3);
    EXPECT_EQ(alive, 1);
  }
  EXPECT_EQ(alive, 0);

  Done done = Unexpected("no");
  done.emplace();
  EXPECT_TRUE(done.has_value());
  // What could throw half-way would leave neither alternative.
  static_assert(Emplaces<Number, int>);
  static_assert(!Emplaces<Result<std::string, int>, const char*>);
}

TEST(Result, Composes) {
  const auto half = [](int n) { return n % 2 == 0 ? Number(n / 2) : Number(Unexpected("odd")); };
  EXPECT_EQ(Number(8).and_then(half).and_then(half), Number(2));
  EXPECT_EQ(Number(6).and_then(half).and_then(half), Number(Unexpected("odd")));
  EXPECT_EQ(Number(6).transform([](int n) { return n + 1; }), Number(7));
  EXPECT_TRUE(Number(6).transform([](int) {}).has_value());
  EXPECT_EQ(Number(Unexpected("x")).or_else([](const std::string&) { return Number(0); }),
            Number(0));
  EXPECT_EQ(
      Number(Unexpected("abc")).transform_error([](const std::string& s) { return s.size(); }),
      (Result<int, std::size_t>(Unexpected(std::size_t{3}))));

  EXPECT_EQ(Done().and_then([] { return Number(1); }), Number(1));
  EXPECT_EQ(Done(Unexpected("x")).transform([] { return 1; }), Number(Unexpected("x")));
  EXPECT_TRUE(Done(Unexpected("x")).or_else([](const std::string&) { return Done(); }).has_value());
  EXPECT_EQ(Done(Unexpected("ab")).transform_error([](const std::string& s) { return s.size(); }),
            (Result<void, std::size_t>(Unexpected(std::size_t{2}))));
}

TEST(Result, TheDefaultErrorIsError) {
  const Result<int> failed = Unexpected(Error::cancelled());
  EXPECT_EQ(failed.error().kind(), ErrorKind::Cancelled);
}

// std::variant is the slow, obvious model.
RC_GTEST_PROP(ResultProperty, CopiesAndAssignsLikeAVariant, ()) {
  using Model = std::variant<std::string, int>;
  const auto arbitrary = [] {
    return *rc::gen::arbitrary<bool>() ? Model(*rc::gen::arbitrary<std::string>())
                                       : Model(*rc::gen::arbitrary<int>());
  };
  const auto real = [](const Model& model) {
    using Real = Result<std::string, int>;
    return model.index() == 0 ? Real(std::get<0>(model)) : Real(Unexpected(std::get<1>(model)));
  };
  Model a = arbitrary();
  Model b = arbitrary();
  auto real_a = real(a);
  auto real_b = real(b);
  RC_ASSERT((real_a == real_b) == (a == b));
  real_a = real_b;
  a = b;
  RC_ASSERT(real_a == real(a));
  const auto copy = real_b;
  RC_ASSERT(copy == real(b));
}

}  // namespace
}  // namespace recover
