#include "config/load.h"

#include <algorithm>
#include <map>

#include "config/builtin_playbooks.h"
#include "config/lint.h"
#include "config/reader.h"
#include "config/resolve.h"
#include "config/tables.h"

namespace recover::config {
namespace {

// Keys that several files may add to; any other stands in one file only.
constexpr std::string_view kJoined[] = {"version", "services", "patterns", "playbooks"};

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool is_pattern(const std::string& path) {
  return path.find_first_of("*?[{") != std::string::npos;
}

class Loader {
 public:
  explicit Loader(Files& files) : reader_(files) {}

  Result<Loaded, std::vector<Mistake>> load(const std::string& path) {
    read_main(path);
    for (const Named& include : std::vector<Named>(draft_.includes)) read_included(include);
    for (const Named& glob : draft_.playbook_globs) read_playbooks(glob);
    for (PlaybookDraft& playbook : draft_.short_forms) add_playbook(std::move(playbook));
    add_builtin_playbooks();
    core::Policy policy = resolve(reader_, draft_);
    lint(policy);
    std::vector<Mistake> mistakes = reader_.mistakes();
    if (!mistakes.empty()) return Unexpected(std::move(mistakes));
    return Loaded{.policy = std::move(policy),
                  .backup = std::move(draft_.backup),
                  .environment = std::move(draft_.environment),
                  .sources = reader_.sources(),
                  .secrets = reader_.secrets()};
  }

 private:
  // The documents of a file; notes at `wanted_at` when it cannot be read.
  std::vector<Node> read_file(const std::string& path, std::optional<Place> wanted_at) {
    Result<std::string, std::string> text = reader_.files().read(path);
    if (text) return reader_.parse(path, std::move(text).value(), true);
    const std::string message = "cannot read `" + path + "`: " + text.error();
    reader_.lose();
    if (wanted_at) {
      reader_.mistake(*wanted_at, message);
    } else {
      static_cast<void>(reader_.parse(path, {}, true));
      reader_.mistake({}, message);
    }
    return {};
  }

  // The paths a name of the file stands for; each file is read once.
  std::vector<std::string> expand(const Named& named) {
    std::vector<std::string> paths =
        reader_.files().glob(named.text, folder_of(reader_.path(named.place.file)));
    std::ranges::sort(paths);
    if (paths.empty() && !is_pattern(named.text)) {
      reader_.mistake(named.place, "there is no file `" + named.text + "`");
      reader_.lose();
    }
    std::erase_if(paths, [&](const std::string& path) {
      return std::ranges::find(read_, path) != read_.end();
    });
    if (read_.size() + paths.size() > kFilesMax) {
      reader_.mistake(named.place, "more than " + std::to_string(kFilesMax) + " files");
      return {};
    }
    read_.insert(read_.end(), paths.begin(), paths.end());
    return paths;
  }

  void read_main(const std::string& path) {
    read_.push_back(path);
    std::vector<Node> roots = read_file(path, std::nullopt);
    if (roots.empty()) {
      if (!reader_.lost()) reader_.mistake({}, "the file is empty");
      return;
    }
    if (!roots.front().has("version")) {
      reader_.mistake(roots.front().place, "`version` is missing: write `version: 1`");
    }
    apply(std::move(roots));
  }

  void read_included(const Named& include) {
    for (const std::string& path : expand(include)) {
      std::vector<Node> roots = read_file(path, include.place);
      if (roots.empty()) continue;
      std::erase_if(roots.front().entries, [&](const Entry& entry) {
        if (entry.key != "include") return false;
        reader_.mistake(entry.place, "an included file cannot include others");
        return true;
      });
      apply(std::move(roots));
    }
  }

  void apply(std::vector<Node> roots) {
    if (roots.empty()) return;
    if (roots.size() > 1) {
      reader_.mistake(roots[1].place, "a configuration is one document, found another");
    }
    std::erase_if(roots.front().entries, [&](const Entry& entry) {
      if (std::ranges::find(kJoined, entry.key) != std::end(kJoined)) return false;
      const auto [first, added] = set_.try_emplace(entry.key, entry.place);
      if (!added) {
        reader_.mistake(entry.place,
                        "`" + entry.key + "` is already set at " + reader_.show(first->second));
      }
      return !added;
    });
    root_table().apply(reader_, roots.front(), draft_);
  }

  void read_playbooks(const Named& glob) {
    for (const std::string& path : expand(glob)) {
      for (const Node& root : read_file(path, glob.place)) read_playbook(root, false);
    }
  }

  void read_playbook(const Node& root, bool built_in) {
    if (root.kind == Node::Kind::Null) return;  // Nothing between two `---`.
    PlaybookDraft playbook;
    playbook.place = root.place;
    playbook.built_in = built_in;
    playbook_table().apply(reader_, root, playbook);
    if (playbook.id.empty()) return;
    lint_playbook(reader_, playbook);
    add_playbook(std::move(playbook));
  }

  void add_playbook(PlaybookDraft playbook) {
    auto& known = draft_.playbook_drafts;
    const auto first = std::ranges::find(known, playbook.id, &PlaybookDraft::id);
    if (first == known.end()) {
      known.push_back(std::move(playbook));
      return;
    }
    reader_.mistake(playbook.place, "the playbook `" + playbook.id + "` is already defined at " +
                                        reader_.show(first->place));
  }

  void add_builtin_playbooks() {
    for (const BuiltinPlaybook& builtin : builtin_playbooks()) {
      const auto& known = draft_.playbook_drafts;
      if (std::ranges::find(known, builtin.id, &PlaybookDraft::id) != known.end()) continue;
      const std::string path = "builtin:" + std::string(builtin.id) + ".yaml";
      for (const Node& root : reader_.parse(path, std::string(builtin.text), false)) {
        read_playbook(root, true);
      }
    }
  }

  void lint(const core::Policy& policy) {
    lint_dependencies(reader_, draft_);
    lint_groups(reader_, draft_);
    lint_validation(reader_, draft_, policy);
  }

  Reader reader_;
  Draft draft_;
  std::map<std::string, Place> set_;
  std::vector<std::string> read_;
};

}  // namespace

Result<Loaded, std::vector<Mistake>> load(const std::string& path, Files& files) {
  return Loader(files).load(path);
}

}  // namespace recover::config
