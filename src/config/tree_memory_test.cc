#include "config/tree_memory.h"

#include <gtest/gtest.h>

#include <string>

#include "config/load.h"
#include "config/memory_files.h"
#include "config/tree.h"

namespace recover::config {
namespace {

constexpr const char* kText =
    "services:\n  web: {run: {command: [\"/srv/web\", 5]}}\n  db:\n---\nother: 'x'\n";

bool same(const Node& a, const Node& b) {  // NOLINT(misc-no-recursion)
  if (a.kind != b.kind || !(a.place == b.place) || a.plain != b.plain || a.text != b.text ||
      a.items.size() != b.items.size() || a.entries.size() != b.entries.size()) {
    return false;
  }
  for (std::size_t i = 0; i < a.items.size(); ++i) {
    if (!same(a.items[i], b.items[i])) return false;
  }
  for (std::size_t i = 0; i < a.entries.size(); ++i) {
    const Entry& one = a.entries[i];
    const Entry& other = b.entries[i];
    if (one.key != other.key || !(one.place == other.place)) return false;
    if (!same(one.value, other.value)) return false;
  }
  return true;
}

std::string remembered(const std::string& text) {
  TreeMemory memory;
  memory.add(text, parse_documents(text, 0).roots);
  return memory.bytes();
}

TEST(TreeMemory, GivesTheTreeOfTheSameTextOnly) {
  TreeMemory memory(remembered(kText));
  const auto known = memory.find(kText, 3);
  ASSERT_TRUE(known);
  const auto parsed = parse_documents(kText, 3).roots;
  ASSERT_EQ(known->size(), parsed.size());
  for (std::size_t i = 0; i < parsed.size(); ++i) EXPECT_TRUE(same((*known)[i], parsed[i])) << i;
  EXPECT_FALSE(memory.find(std::string(kText) + " ", 3));
  EXPECT_FALSE(memory.find("", 3));
}

TEST(TreeMemory, IsOfOneProgram) {
  TreeMemory memory({}, "0.1 built today");
  memory.add(kText, parse_documents(kText, 0).roots);
  EXPECT_TRUE(TreeMemory(memory.bytes(), "0.1 built today").find(kText, 0));
  EXPECT_FALSE(TreeMemory(memory.bytes(), "0.1 built tomorrow").find(kText, 0));
  EXPECT_FALSE(TreeMemory(memory.bytes()).find(kText, 0));
}

TEST(TreeMemory, ForgetsWhatIsNotAskedForAnyMore) {
  TreeMemory memory(remembered(kText));
  EXPECT_TRUE(memory.changed());
  ASSERT_TRUE(memory.find(kText, 0));
  EXPECT_FALSE(memory.changed());
  memory.add("a: 1\n", parse_documents("a: 1\n", 0).roots);
  EXPECT_TRUE(memory.changed());
  TreeMemory next(memory.bytes());
  EXPECT_TRUE(next.find("a: 1\n", 0));
  EXPECT_TRUE(next.find(kText, 0));
}

TEST(TreeMemory, TakesNothingFromBytesThatAreCutOrForeign) {
  const std::string whole = remembered(kText);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    TreeMemory cut(whole.substr(0, size));
    EXPECT_FALSE(cut.find(kText, 0)) << size;
  }
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string other = whole;
    other[at] = static_cast<char>(other[at] ^ 0x55);
    (void)TreeMemory(other).find(kText, 0);  // Whatever it gives, it stays within its bounds.
  }
}

TEST(TreeMemory, AConfigurationIsReadFromItAsFromItsText) {
  constexpr const char* kConfiguration =
      "version: 1\nservices:\n  web: {run: {command: [/srv/web]}, depends_on: [db]}\n"
      "  db: {run: {command: [/srv/db], environment: {A: \"${env:SECRET}\"}}}\n";
  const Texts texts = {{"recoverd.yaml", kConfiguration}};
  TreeMemory first;
  MemoryFiles files(texts, {{"SECRET", "first-secret"}});
  files.remember_in(first);
  const auto parsed = load("recoverd.yaml", files);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(first.bytes().find("first-secret"), std::string::npos);

  TreeMemory second(first.bytes());
  MemoryFiles later(texts, {{"SECRET", "first-secret"}});
  later.remember_in(second);
  const auto known = load("recoverd.yaml", later);
  ASSERT_TRUE(known);
  EXPECT_TRUE(known->policy == parsed->policy);
  EXPECT_EQ(known->sources, parsed->sources);
  EXPECT_FALSE(second.changed());

  MemoryFiles elsewhere(texts, {{"SECRET", "second-secret"}});
  elsewhere.remember_in(second);
  const auto other = load("recoverd.yaml", elsewhere);
  ASSERT_TRUE(other);
  EXPECT_FALSE(other->policy == parsed->policy) << "the environment is looked up anew";
}

TEST(Tree, FindsAKeyGivenTwiceAmongMany) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "key" + std::to_string(i) + ": 1\n";
  const Documents read = parse_documents(text + "key40: 2\nkey99: 2\n", 0);
  ASSERT_EQ(read.mistakes.size(), 2U);
  EXPECT_EQ(read.mistakes[0].message, "`key40` is given twice, first at line 41");
  EXPECT_EQ(read.mistakes[1].message, "`key99` is given twice, first at line 100");
}

}  // namespace
}  // namespace recover::config
