// replay VECTORS.json...: replays conformance vectors on the library, in virtual time.
//
// Prints one line a vector and a closing count. Exit status: 0 when no vector failed, 1 when one
// did, 2 when a file cannot be read.
#include <exception>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "breaker_vectors.h"
#include "fields.h"
#include "policy_vectors.h"
#include "report.h"

namespace recover::conformance {
namespace {

constexpr int kAllHeld = 0;
constexpr int kSomeFailed = 1;
constexpr int kUnreadable = 2;

class Unreadable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

Json read(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw Unreadable(path + ": cannot be opened");
  try {
    Json json = Json::parse(file);
    if (!json.is_object() || !json.contains("vectors") || !json["vectors"].is_array()) {
      throw Unreadable(path + ": line 1, column 1: no object with an array \"vectors\"");
    }
    return json;
  } catch (const Json::parse_error& error) {
    throw Unreadable(path + ": " + error.what());
  }
}

std::string id_of(const Json& vector, const std::string& path, std::size_t index) {
  const bool named = vector.is_object() && vector.contains("id") && vector["id"].is_string();
  return named ? vector["id"].get<std::string>() : path + "#" + std::to_string(index + 1);
}

void replay_vector(const Json& vector) {
  if (!vector.is_object() || !vector.contains("id")) throw Failed("a vector without an id");
  if (vector.contains("kind")) return replay_policy_vector(vector);
  if (vector.contains("config") || vector.contains("steps")) return replay_breaker_vector(vector);
  throw Skipped("unknown kind of vector: neither `kind` nor `steps`");
}

void replay_file(const std::string& path, const Json& json, Report& report) {
  const Json& vectors = json["vectors"];
  if (json.contains("count") && json["count"] != vectors.size()) {
    report.failed(
        path, "expected count=" + json["count"].dump() + " got " + std::to_string(vectors.size()));
  }
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    const std::string id = id_of(vectors[i], path, i);
    try {
      replay_vector(vectors[i]);
      report.ok(id);
    } catch (const Failed& failure) {
      report.failed(id, failure.what());
    } catch (const Skipped& skip) {
      report.skipped(id, skip.what());
    } catch (const Json::exception& error) {
      report.failed(id, error.what());
    }
  }
}

int replay_files(const std::vector<std::string>& paths) {
  Report report(std::cout);
  for (const std::string& path : paths) replay_file(path, read(path), report);
  report.close();
  return report.all_held() ? kAllHeld : kSomeFailed;
}

}  // namespace
}  // namespace recover::conformance

int main(int argc, char** argv) {
  try {
    const std::vector<std::string> paths(argv + 1, argv + argc);
    if (paths.empty()) {
      std::cerr << "usage: replay VECTORS.json...\n";
      return recover::conformance::kUnreadable;
    }
    return recover::conformance::replay_files(paths);
  } catch (const std::exception& error) {
    std::cout.flush();
    std::cerr << "replay: " << error.what() << '\n';
    return recover::conformance::kUnreadable;
  }
}
