// Runs a fuzz target without libFuzzer: the files of its corpus, then inputs made from a seed.
//
// usage: <fuzz target> [CORPUS_DIR...]    SMOKE_SEED and SMOKE_INPUTS change what is fed.
// A corpus without a file is a mistake in its name, and an error.
// The input in flight is in <fuzz target>.input, so that file is there after a crash and can be
// given to the libFuzzer executable as it is.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <system_error>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint64_t kInputs = 2000;
constexpr std::size_t kInputSizeMax = 512;

std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): one thread.
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

Bytes read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void feed(const Bytes& input, const std::string& note) {
  std::ofstream(note, std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(input.data()),
             static_cast<std::streamsize>(input.size()));
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

std::size_t feed_corpus(const std::filesystem::path& folder, const std::string& note) {
  std::size_t fed = 0;
  std::error_code missing;
  for (const auto& entry : std::filesystem::directory_iterator(folder, missing)) {
    feed(read_file(entry.path()), note);
    ++fed;
  }
  if (fed > 0) return fed;
  std::fprintf(stderr, "%s: no corpus here\n", folder.c_str());
  std::exit(2);  // NOLINT(concurrency-mt-unsafe): one thread.
}

// Half the inputs are plain noise; half repeat a few bytes, for long runs of the same operation.
Bytes make_input(std::mt19937_64& random) {
  Bytes input(random() % (kInputSizeMax + 1));
  const bool repetitive = random() % 2 == 0;
  const std::uint64_t alphabet = repetitive ? 1 + random() % 4 : 256;
  const std::uint64_t first = random();
  for (auto& byte : input) byte = static_cast<std::uint8_t>(first + random() % alphabet);
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string note = std::string(argv[0]) + ".input";
  std::size_t corpus = 0;
  for (int i = 1; i < argc; ++i) corpus += feed_corpus(argv[i], note);

  const std::uint64_t seed = number_from_environment("SMOKE_SEED", 1);
  const std::uint64_t inputs = number_from_environment("SMOKE_INPUTS", kInputs);
  std::mt19937_64 random(seed);
  for (std::uint64_t i = 0; i < inputs; ++i) feed(make_input(random), note);

  std::filesystem::remove(note);
  std::printf("%zu corpus files and %llu inputs of seed %llu: ok\n", corpus,
              static_cast<unsigned long long>(inputs), static_cast<unsigned long long>(seed));
  return 0;
}
