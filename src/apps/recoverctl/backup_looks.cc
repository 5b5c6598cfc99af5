// The backup commands that look into repositories and copy between them.
#include <boost/json.hpp>

#include <algorithm>
#include <utility>

#include "apps/recoverctl/backup_commands.h"
#include "apps/recoverctl/backup_progress.h"
#include "apps/recoverctl/repository_access.h"
#include "apps/recoverctl/table.h"
#include "backup/archive/exclude.h"
#include "backup/browse/copier.h"
#include "backup/browse/tree_walk.h"
#include "backup/repo/patient_lock.h"

namespace recover::apps {
namespace {

namespace json = boost::json;
using backup::Repository;

constexpr std::size_t kShownId = 8;

// The value, or the command's end.
template <class T>
T value_or_end(backup::Outcome<T> outcome) {
  if (!outcome) throw failure_of(outcome.error());
  return std::move(*outcome);
}

void done_or_end(const backup::Outcome<void>& outcome) {
  if (!outcome) throw failure_of(outcome.error());
}

std::string shown(const backup::Digest& id) {
  return backup::hex(id).substr(0, kShownId);
}

// Those named; none: all of the type, if one was asked for.
std::vector<Repository::FoundSnapshot> chosen(const Repository& repository,
                                              const RepositoryWish& wish,
                                              const std::vector<std::string>& wanted) {
  std::vector<Repository::FoundSnapshot> found;
  if (wanted.empty()) {
    found = value_or_end(repository.snapshots());
    std::erase_if(found, [&](const auto& one) { return !is_of_type(wish, one); });
    return found;
  }
  for (const std::string& id : wanted) found.push_back(value_or_end(repository.find_snapshot(id)));
  return found;
}

json::object match_json(const std::string& path, const backup::Node& node) {
  std::string time;
  backup::append_json_time(time, node.mtime);
  return {{"path", path},
          {"type", std::string(to_string(node.type))},
          {"mtime", time.substr(1, time.size() - 2)},
          {"size", node.size},
          {"uid", node.uid},
          {"gid", node.gid}};
}

json::array matches_of(const Session& session, const OpenRepository& open,
                       const backup::BlobIndex& index, const backup::ExcludeList& pattern,
                       const Repository::FoundSnapshot& found) {
  json::array matches;
  done_or_end(walk_tree(
      open.repository, index, found.snapshot.tree,
      [&](const std::string& path, const backup::Node& node) -> backup::Outcome<backup::TreeVisit> {
        if (pattern.matches(path)) {
          if (matches.empty() && !session.json) {
            session.out << "in snapshot " << shown(found.id) << "\n";
          }
          if (!session.json) session.out << path << "\n";
          matches.push_back(match_json(path, node));
        }
        return backup::TreeVisit::GoOn;
      }));
  return matches;
}

// `latest` is the newest that was taken of this path: what lies in a repository of several types is
// not all in its newest snapshot.
backup::Outcome<backup::Repository::FoundSnapshot> snapshot_with(
    const backup::Repository& repository, const std::string& snapshot, const std::string& path) {
  if (snapshot != "latest") return repository.find_snapshot(snapshot);
  auto all = repository.snapshots();
  if (!all) return Unexpected(std::move(all.error()));
  for (auto one = all->rbegin(); one != all->rend(); ++one) {
    for (const std::string& taken : one->snapshot.paths) {
      if (path == taken || path.starts_with(taken + "/")) return std::move(*one);
    }
  }
  return repository.find_snapshot(snapshot);
}

}  // namespace

Command backup_find_command(FindWish wish) {
  return [wish = std::move(wish)](const Session& session) {
    const OpenRepository open = open_repository(wish.repository);
    std::vector<std::string> wanted;
    if (!wish.snapshot.empty()) wanted.push_back(wish.snapshot);
    const auto snapshots = chosen(open.repository, wish.repository, wanted);
    const backup::BlobIndex index = value_or_end(open.repository.load_index());
    const backup::ExcludeList pattern({wish.pattern});
    json::array found;
    for (const Repository::FoundSnapshot& one : snapshots) {
      json::array matches = matches_of(session, open, index, pattern, one);
      if (matches.empty()) continue;
      const std::size_t hits = matches.size();
      found.push_back(json::object{
          {"matches", std::move(matches)}, {"hits", hits}, {"snapshot", backup::hex(one.id)}});
    }
    const bool any = !found.empty();
    session.show(std::move(found), [](const json::object&) {});
    return any ? Exit::Done : Exit::NoSuchThing;
  };
}

Command backup_diff_command(DiffWish wish) {
  return [wish = std::move(wish)](const Session& session) {
    const OpenRepository open = open_repository(wish.repository);
    const auto before = wanted_snapshot(open.repository, wish.repository, wish.before);
    const auto after = wanted_snapshot(open.repository, wish.repository, wish.after);
    const backup::BlobIndex index = value_or_end(open.repository.load_index());
    done_or_end(diff_trees(open.repository, index, before.snapshot.tree, after.snapshot.tree,
                           wish.metadata, [&](const backup::Difference& one) {
                             const std::string letter(1, letter_of(one.kind));
                             if (session.json) {
                               session.out
                                   << json::serialize(json::object{{"message_type", "change"},
                                                                   {"path", one.path},
                                                                   {"modifier", letter}})
                                   << "\n";
                             } else {
                               session.out << letter << "    " << one.path << "\n";
                             }
                           }));
    return Exit::Done;
  };
}

Command backup_dump_command(RepositoryWish wish, std::string snapshot, std::string path) {
  return [wish = std::move(wish), snapshot = std::move(snapshot),
          path = std::move(path)](const Session& session) {
    const OpenRepository open = open_repository(wish);
    const auto found = value_or_end(snapshot_with(open.repository, snapshot, path));
    const backup::BlobIndex index = value_or_end(open.repository.load_index());
    const backup::Node node =
        value_or_end(find_node(open.repository, index, found.snapshot.tree, path));
    if (node.type != backup::NodeType::File) {
      throw Failure(Exit::Usage, "USAGE", path + ": it is no file; `backup restore` takes folders");
    }
    done_or_end(read_content_of(
        open.repository, index, node, [&](backup::View bytes) -> backup::Outcome<void> {
          const std::string_view text = backup::text_of(bytes);
          if (session.out.write(text.data(), static_cast<std::streamsize>(text.size()))) return {};
          return backup::fail(backup::FailureKind::Io, "writing to standard output failed");
        }));
    return Exit::Done;
  };
}

Command backup_copy_command(CopyWish wish) {
  return [wish = std::move(wish)](const Session& session) {
    const StopOnSignal stop;
    const OpenRepository from = open_repository(wish.repository);
    RepositoryWish other = wish.to;
    if (other.password_file.empty()) {
      other.password_file = wish.repository.password_file;
      other.password_command = wish.repository.password_command;
    }
    const OpenRepository to = open_repository(other);
    const auto lock =
        value_or_end(backup::acquire_patiently(to.repository, backup::LockKind::Shared));
    backup::CopyProgress progress;
    const auto wanted = chosen(from.repository, wish.repository, wish.snapshots);
    const auto report = [&] {
      const ProgressLine line(
          session,
          [&](double) {
            return std::to_string(progress.trees) + " trees, " + std::to_string(progress.blobs) +
                   " blobs, " + size_text(static_cast<double>(progress.bytes));
          },
          [&] {
            return json::object{{"phase", "copy"},
                                {"percent_done", 0},
                                {"blobs_done", progress.blobs.load()},
                                {"bytes_done", progress.bytes.load()}};
          });
      return value_or_end(copy_snapshots(
          from.repository, to.repository, wanted,
          {.still_locked = [&] { return lock->is_held(); }, .progress = &progress}, stop.token()));
    }();
    session.show(json::object{{"snapshots", report.snapshots},
                              {"skipped", report.skipped},
                              {"blobs", report.blobs},
                              {"bytes", report.bytes}},
                 [&](const json::object&) {
                   session.out << "copied " << report.snapshots << " snapshots (" << report.skipped
                               << " were there), " << report.blobs << " blobs\n";
                 });
    return Exit::Done;
  };
}

}  // namespace recover::apps
