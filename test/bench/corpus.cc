// Corpora for test/bench/backup.py: the same bytes from the same arguments, on every machine.
//
// usage: bench_corpus small|large|db|many|flat FOLDER [--files N] [--bytes N] [--change]
// small: N files (200000) of 200 to 20480 bytes of text, few large, in 5000 folders. large: 4
// files,
// --bytes (2 GiB) in all, runs of text and of noise by turns. db: one file of --bytes (1 GiB),
// pages of 8 KiB with rows of text and free space. many: N files (1000000) of a line each in 5000
// folders; flat: all of them in one. --change rewrites 1 % of it in place: of the files, the bytes,
// the pages.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t kPage = 8192;
constexpr std::uint64_t kMiB = 1U << 20U;

// xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2016), its
// state mixed from up to three numbers, so that any file or page can be made on its own.
class Dice {
 public:
  explicit Dice(std::uint64_t a, std::uint64_t b = 0, std::uint64_t c = 0) {
    for (const std::uint64_t part : {a, b, c}) {
      state_ = (state_ ^ part) * 0x9E3779B97F4A7C15U + 0x632BE59BD9B4E019U;
      state_ ^= state_ >> 29U;
    }
    for (int i = 0; i < 4; ++i) next();
  }
  std::uint64_t next() {
    state_ ^= state_ >> 12U;
    state_ ^= state_ << 25U;
    state_ ^= state_ >> 27U;
    return state_ * 0x2545F4914F6CDD1DU;
  }
  std::uint64_t below(std::uint64_t limit) { return (next() >> 33U) * limit >> 31U; }
  double share() { return static_cast<double>(next() >> 11U) * 0x1.0p-53; }

 private:
  std::uint64_t state_ = 0x853C49E6748FEA9BU;
};

// Words by rank, common ones short; the word of rank r is drawn about 1/r of the time (Zipf).
class Words {
 public:
  Words() {
    constexpr std::string_view kConsonants = "tnsrhldcmfpgwybvk";
    constexpr std::string_view kVowels = "eaoiu";
    Dice dice(7);
    for (std::size_t rank = 0; rank < kWords; ++rank) {
      std::string word;
      const std::size_t syllables = 1 + (rank > 30 ? 1 : 0) + (rank > 500 ? dice.below(3) : 0);
      for (std::size_t i = 0; i < syllables; ++i) {
        word += kConsonants[std::min(dice.below(17), dice.below(17))];
        word += kVowels[dice.below(5)];
        if (dice.below(3) == 0) word += kConsonants[dice.below(17)];
      }
      words_.push_back(std::move(word));
    }
  }
  const std::string& draw(Dice& dice) const {
    const double rank = std::exp(dice.share() * std::log(static_cast<double>(kWords)));
    return words_[std::min(kWords - 1, static_cast<std::size_t>(rank) - 1)];
  }

 private:
  static constexpr std::size_t kWords = 8192;
  std::vector<std::string> words_;
};

// Lines of words, numbers and settings, about as compressible as source code and logs.
void fill_text(const Words& words, Dice& dice, char* out, std::size_t size) {
  std::string line;
  std::size_t done = 0;
  while (done < size) {
    line.clear();
    while (line.size() < 70) {
      const std::uint64_t kind = dice.below(20);
      if (kind == 0) {
        line += std::to_string(dice.below(100'000));
      } else if (kind == 1) {
        line += words.draw(dice) + "=\"" + words.draw(dice) + "\"";
      } else {
        line += words.draw(dice);
      }
      line += kind == 2 ? ", " : " ";
    }
    line.back() = '\n';
    const std::size_t part = std::min(line.size(), size - done);
    std::memcpy(out + done, line.data(), part);
    done += part;
  }
}

void fill_noise(Dice& dice, char* out, std::size_t size) {
  for (std::size_t at = 0; at < size; at += sizeof(std::uint64_t)) {
    const std::uint64_t value = dice.next();
    std::memcpy(out + at, &value, std::min(sizeof value, size - at));
  }
}

[[noreturn]] void die(const std::string& what) {
  std::perror(what.c_str());
  std::exit(1);
}

class File {
 public:
  explicit File(const std::string& path, int flags = O_CREAT)
      : path_(path), fd_(::open(path.c_str(), O_WRONLY | O_CLOEXEC | flags, 0644)) {
    if (fd_ < 0) die(path);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { ::close(fd_); }
  void write(std::uint64_t at, const char* bytes, std::size_t size) const {
    while (size > 0) {
      const ssize_t done = ::pwrite(fd_, bytes, size, static_cast<off_t>(at));
      if (done <= 0) die(path_);
      at += static_cast<std::uint64_t>(done);
      bytes += done;
      size -= static_cast<std::size_t>(done);
    }
  }

 private:
  std::string path_;
  int fd_;
};

struct Wish {
  std::string folder;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  bool change = false;
};

void make_small(const Words& words, const Wish& wish) {
  std::vector<char> text(20'480);
  for (std::uint64_t i = 0; i < wish.files; ++i) {
    if (wish.change && i % 100 != 42) continue;
    const std::uint64_t leaf = i % 5000;
    const std::string folder = wish.folder + "/" + std::to_string(leaf / 250) + "/" +
                               std::to_string(leaf / 25 % 10) + "/" + std::to_string(leaf % 25);
    if (i < 5000) std::filesystem::create_directories(folder);
    Dice dice(1, i);
    const auto size = static_cast<std::size_t>(200 * std::exp(dice.share() * std::log(102.4)));
    fill_text(words, dice, text.data(), size);
    if (wish.change) {
      Dice other(2, i);
      const std::size_t at = other.below(size);
      fill_text(words, other, text.data() + at, std::min<std::size_t>(size - at, 300));
    }
    File(folder + "/file" + std::to_string(i) + ".txt", O_CREAT | O_TRUNC)
        .write(0, text.data(), size);
  }
}

void make_many(const Wish& wish, std::uint64_t folders) {
  for (std::uint64_t i = 0; i < wish.files; ++i) {
    if (wish.change && i % 100 != 42) continue;
    const std::uint64_t leaf = i % folders;
    const std::string folder =
        wish.folder + "/" + std::to_string(leaf / 100) + "/" + std::to_string(leaf % 100);
    if (i < folders) std::filesystem::create_directories(folder);
    const std::string text = (wish.change ? "changed line " : "line ") + std::to_string(i) + "\n";
    File(folder + "/entry" + std::to_string(i) + ".txt", O_CREAT | O_TRUNC)
        .write(0, text.data(), text.size());
  }
}

void make_large(const Words& words, const Wish& wish) {
  const std::uint64_t size = wish.bytes / 4;
  std::vector<char> run(4 * kMiB);
  for (std::uint64_t number = 0; number < 4; ++number) {
    const File file(wish.folder + "/large" + std::to_string(number));
    bool is_text = number % 2 == 1;
    if (wish.change) {
      for (std::uint64_t part = 0; part < 5; ++part) {
        Dice dice(3, number, part);
        const std::uint64_t length = std::min<std::uint64_t>(size / 500, run.size());
        fill_noise(dice, run.data(), length);
        file.write(part * (size / 5) + dice.below(size / 5 - length), run.data(), length);
      }
      continue;
    }
    for (std::uint64_t at = 0; at < size; is_text = !is_text) {
      Dice dice(4, number, at);
      const std::uint64_t length = std::min(size - at, kMiB / 4 + dice.below(15 * kMiB / 4));
      is_text ? fill_text(words, dice, run.data(), length) : fill_noise(dice, run.data(), length);
      file.write(at, run.data(), length);
      at += length;
    }
  }
}

// A header, pointers to rows from the front, rows from the back, zeros between.
void fill_page(const Words& words, Dice& dice, char* page) {
  std::memset(page, 0, kPage);
  const std::uint64_t stamp = dice.next();
  std::memcpy(page, &stamp, sizeof stamp);
  const std::size_t free = kPage * dice.below(40) / 100;
  std::size_t pointer = 24;
  std::size_t end = kPage;
  while (true) {
    const std::size_t length = 40 + dice.below(160);
    if (end < pointer + 4 + free + length) break;
    end -= length;
    fill_noise(dice, page + end, 8);
    fill_text(words, dice, page + end + 8, length - 8);
    const auto place = static_cast<std::uint32_t>(end);
    std::memcpy(page + pointer, &place, sizeof place);
    pointer += sizeof place;
  }
}

void make_db(const Words& words, const Wish& wish) {
  const File file(wish.folder + "/table.db");
  std::vector<char> page(kPage);
  for (std::uint64_t i = 0; i < wish.bytes / kPage; ++i) {
    Dice lot(5, i / 100);
    if (wish.change && i % 100 != lot.below(100)) continue;
    Dice dice(6, i, wish.change ? 1 : 0);
    fill_page(words, dice, page.data());
    file.write(i * kPage, page.data(), kPage);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.size() < 2) {
    std::fputs(
        "usage: bench_corpus small|large|db|many|flat FOLDER [--files N] [--bytes N] [--change]\n",
        stderr);
    return 2;
  }
  Wish wish{.folder = arguments[1]};
  for (std::size_t i = 2; i < arguments.size(); ++i) {
    if (arguments[i] == "--change") wish.change = true;
    if (i + 1 == arguments.size()) continue;
    if (arguments[i] == "--files") wish.files = std::stoull(arguments[i + 1]);
    if (arguments[i] == "--bytes") wish.bytes = std::stoull(arguments[i + 1]);
  }
  std::filesystem::create_directories(wish.folder);
  const Words words;
  if (wish.files == 0) wish.files = arguments[0] == "small" ? 200'000 : 1'000'000;
  if (arguments[0] == "many") make_many(wish, 5000);
  if (arguments[0] == "flat") make_many(wish, 1);
  if (arguments[0] == "small") make_small(words, wish);
  if (wish.bytes == 0) wish.bytes = (arguments[0] == "large" ? 2048 : 1024) * kMiB;
  if (arguments[0] == "large") make_large(words, wish);
  if (arguments[0] == "db") make_db(words, wish);
  return 0;
}
