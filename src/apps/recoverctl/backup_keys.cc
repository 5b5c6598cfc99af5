// The backup commands about what a repository is made of: its passwords, its objects.
#include <boost/json.hpp>

#include <array>
#include <utility>

#include "apps/recoverctl/backup_commands.h"
#include "apps/recoverctl/repository_access.h"
#include "apps/recoverctl/table.h"

namespace recover::apps {
namespace {

namespace json = boost::json;
using backup::FileKind;

constexpr std::size_t kKeyIdShown = 8;

struct FoundKey {
  backup::Digest id;
  backup::KeyFile file;
};

std::vector<FoundKey> keys_of(backup::Store& store) {
  const auto files = store.list(FileKind::Key);
  if (!files) throw failure_of(files.error());
  std::vector<FoundKey> keys;
  for (const backup::StoredFile& one : *files) {
    const auto bytes = store.read({.kind = FileKind::Key, .id = one.id});
    if (!bytes) throw failure_of(bytes.error());
    auto file = backup::parse_key_file(backup::text_of(*bytes));
    if (!file) throw failure_of(file.error());
    keys.push_back({.id = one.id, .file = std::move(*file)});
  }
  return keys;
}

// The one file of a kind whose name begins like that.
backup::Digest id_like(backup::Store& store, FileKind kind, const std::string& wanted) {
  const auto files = store.list(kind);
  if (!files) throw failure_of(files.error());
  std::vector<backup::Digest> found;
  for (const backup::StoredFile& one : *files) {
    if (backup::hex(one.id).starts_with(wanted)) found.push_back(one.id);
  }
  const std::string name = std::string(to_string(kind)) + " \"" + wanted + "\"";
  if (found.size() > 1) throw Failure(Exit::Usage, "USAGE", name + ": several begin like that");
  if (found.empty() || wanted.empty()) {
    throw Failure(Exit::NoSuchThing, "NOT_FOUND", name + ": there is none");
  }
  return found.front();
}

void print_bytes(const Session& session, std::string_view text) {
  session.out.write(text.data(), static_cast<std::streamsize>(text.size()));
  session.out << std::flush;
}

// Whichever of the two types is asked for, whole.
void cat_blob(const Session& session, const OpenRepository& open, const CatWish& wish) {
  const auto id = backup::parse_digest(wish.id);
  if (!id) throw Failure(Exit::Usage, "USAGE", "a blob is named by its whole id: 64 hex digits");
  const auto index = open.repository.load_index();
  if (!index) throw failure_of(index.error());
  backup::BlobCodec codec(open.repository.key(), backup::kDefaultLevel);
  const bool tree = wish.kind == "tree" || !index->contains({.id = *id});
  const backup::BlobKey key{.id = *id,
                            .type = tree ? backup::BlobType::Tree : backup::BlobType::Data};
  const auto plain = open.repository.load_blob(*index, key, codec);
  if (!plain) throw failure_of(plain.error());
  print_bytes(session, backup::text_of(*plain));
}

void cat_file(const Session& session, const OpenRepository& open, FileKind kind,
              const std::string& id) {
  backup::Store& store = *open.store;
  backup::FileName name{.kind = kind, .id = {}};
  if (kind == FileKind::Snapshot) {
    const auto found = open.repository.find_snapshot(id);
    if (!found) throw failure_of(found.error());
    name.id = found->id;
  } else {
    name.id = id_like(store, kind, id);
  }
  if (kind == FileKind::Key || kind == FileKind::Pack) {
    const auto bytes = store.read(name);
    if (!bytes) throw failure_of(bytes.error());
    return print_bytes(session, backup::text_of(*bytes));
  }
  const auto text = open.repository.load(name);
  if (!text) throw failure_of(text.error());
  print_bytes(session, text->ends_with('\n') ? *text : *text + "\n");
}

}  // namespace

Command backup_key_list_command(RepositoryWish wish) {
  return [wish = std::move(wish)](const Session& session) {
    const OpenRepository open = open_repository(wish);
    json::array list;
    Table table({"ID", "USER", "HOST", "CREATED"});
    for (const FoundKey& key : keys_of(*open.store)) {
      std::string created;
      backup::append_json_time(created, key.file.created);
      created = created.substr(1, created.size() - 2);
      const std::string id = backup::hex(key.id);
      list.push_back(json::object{{"id", id},
                                  {"userName", key.file.user},
                                  {"hostName", key.file.host},
                                  {"created", created}});
      table.add(
          {{id.substr(0, kKeyIdShown)}, {key.file.user}, {key.file.host}, {short_time(created)}});
    }
    session.show(std::move(list), [&](const json::object&) { session.print(table); });
    return Exit::Done;
  };
}

Command backup_key_add_command(KeyWish wish) {
  return [wish = std::move(wish)](const Session& session) {
    const OpenRepository open = open_repository(wish.repository);
    RepositoryWish other;
    other.password_file = wish.new_password_file;
    const auto id = backup::Repository::add_key(
        *open.store, open.repository.key(), password_of(other),
        {.now = wall_clock(), .user = user_name(), .host = host_name(), .cost = {}});
    if (!id) throw failure_of(id.error());
    session.show(json::object{{"id", backup::hex(*id)}}, [&](const json::object&) {
      session.out << "added key " << backup::hex(*id).substr(0, kKeyIdShown) << "\n";
    });
    return Exit::Done;
  };
}

namespace {

bool opens(const FoundKey& key, const base::Secret& password) {
  const auto user_key = backup::derive_key(password, key.file.salt, key.file.cost);
  return user_key && backup::Cipher(*user_key).open(key.file.sealed);
}

}  // namespace

Command backup_key_remove_command(KeyWish wish) {
  return [wish = std::move(wish)](const Session& session) {
    const OpenRepository open = open_repository(wish.repository);
    const auto lock = backup::RepositoryLock::acquire(open.repository, backup::LockKind::Exclusive);
    if (!lock) throw failure_of(lock.error());
    const backup::Digest id = id_like(*open.store, FileKind::Key, wish.id);
    // The password in use opens another key than the one that goes, or nothing opens any more.
    const std::vector<FoundKey> keys = keys_of(*open.store);
    if (keys.size() < 2) {
      throw Failure(Exit::Refused, "LAST_KEY", "it is the only key: nothing could be read without");
    }
    for (const FoundKey& key : keys) {
      if (key.id == id && opens(key, password_of(wish.repository))) {
        throw Failure(Exit::Refused, "KEY_IN_USE",
                      "the password in use opens it: remove it with another key's password");
      }
    }
    const auto removed = open.store->remove({.kind = FileKind::Key, .id = id});
    if (!removed) throw failure_of(removed.error());
    session.show(json::object{{"removed", backup::hex(id)}}, [&](const json::object&) {
      session.out << "removed key " << backup::hex(id).substr(0, kKeyIdShown)
                  << "; who had its password may have kept what it opened: copy what must stay "
                     "secret into a new repository\n";
    });
    return Exit::Done;
  };
}

Command backup_cat_command(CatWish wish) {
  return [wish = std::move(wish)](const Session& session) {
    const OpenRepository open = open_repository(wish.repository);
    if (wish.kind == "blob" || wish.kind == "tree") {
      cat_blob(session, open, wish);
      return Exit::Done;
    }
    if (wish.kind == "masterkey") {
      print_bytes(session, backup::text_of(open.repository.key()) + "\n");
      return Exit::Done;
    }
    if (wish.kind == "config") {
      print_bytes(session, backup::text_of(open.repository.config()) + "\n");
      return Exit::Done;
    }
    for (const FileKind kind :
         {FileKind::Key, FileKind::Lock, FileKind::Index, FileKind::Snapshot, FileKind::Pack}) {
      if (to_string(kind) != wish.kind) continue;
      cat_file(session, open, kind, wish.id);
      return Exit::Done;
    }
    throw Failure(Exit::Usage, "USAGE",
                  "cat what? config, masterkey, key, lock, index, snapshot, pack, blob or tree");
  };
}

}  // namespace recover::apps
