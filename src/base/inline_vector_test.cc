#include "base/inline_vector.h"

#include <gtest/gtest.h>

namespace recover::base {
namespace {

// Against std::vector, over the border between inside and outside, both ways.
TEST(InlineVector, IsAVector) {
  InlineVector<int, 3> list;
  std::vector<int> model;
  const auto same = [&] { return std::vector<int>(list.begin(), list.end()) == model; };
  EXPECT_TRUE(list.empty());
  for (int round = 0; round < 3; ++round) {
    for (int item = 0; item < 7; ++item) {
      list.push_back(item);
      model.push_back(item);
      ASSERT_TRUE(same());
    }
    while (model.size() > static_cast<std::size_t>(round)) {
      EXPECT_EQ(list.pop_back(), model.back());
      model.pop_back();
      ASSERT_TRUE(same());
      ASSERT_EQ(list.size(), model.size());
    }
  }
}

TEST(InlineVector, TakesAWholeVector) {
  const std::vector<int> few{1, 2};
  const std::vector<int> many{1, 2, 3, 4, 5};
  InlineVector<int, 3> list(few);
  EXPECT_EQ(std::vector<int>(list.begin(), list.end()), few);
  list = InlineVector<int, 3>(many);
  EXPECT_EQ(std::vector<int>(list.begin(), list.end()), many);
}

}  // namespace
}  // namespace recover::base
