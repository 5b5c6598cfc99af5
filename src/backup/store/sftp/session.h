// What one does with files over a connection: each call one or more requests, many under way at
// once where that saves waiting.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "backup/store/bandwidth.h"
#include "backup/store/sftp/connection.h"

namespace recover::backup::sftp {

// Thread-safe as its connection is. A value: two references.
class Session {
 public:
  Session(Connection& connection, Bandwidth& bandwidth)
      : connection_(&connection), bandwidth_(&bandwidth) {}

  // NotFound when there is none; NotPermitted; everything else that the server calls a failure is
  // Io, with its words.
  Outcome<Attributes> stat(const std::string& path);
  // Whatever is there already counts as made when it is a folder. In this order, all at once.
  Outcome<void> make_folders(const std::vector<std::string>& paths);
  Outcome<void> make_folder(const std::string& path) { return make_folders({path}); }
  Outcome<void> remove(const std::string& path);
  // Exists when there is one of the new name.
  Outcome<void> rename(const std::string& from, const std::string& to);
  // Exactly these bytes; Damaged when the file ends before.
  Outcome<Bytes> read(const std::string& path, std::uint64_t offset, std::uint64_t length);
  // All of it, if it is a file of at most so many bytes: else Damaged.
  Outcome<Bytes> read_whole(const std::string& path, std::uint64_t bytes_most);
  // A new file with these bytes, synced if the server can. It stays there, in part, when it fails.
  Outcome<void> write_new(const std::string& path, std::uint32_t mode, View bytes);
  // What a server cannot do is not done: then its renames are as durable as it makes them.
  void sync_folder(const std::string& path);

  struct Entry {
    std::string name;
    Attributes attributes;
  };
  // Of several folders. A folder that is not there has none.
  Outcome<std::vector<std::vector<Entry>>> list(const std::vector<std::string>& folders);
  // Whether the file system of the folder has room for so many bytes; true when it is not known.
  bool has_room(const std::string& folder, std::uint64_t bytes);

 private:
  using Handle = Bytes;

  Outcome<Handle> open(const std::string& path, std::uint32_t flags, std::uint32_t mode);
  Outcome<void> close(const Handle& handle);
  Outcome<Bytes> read_open(const Handle& handle, std::uint64_t offset, std::uint64_t length);
  Outcome<void> write_open(const Handle& handle, View bytes);
  Outcome<void> sync(const Handle& handle);
  Outcome<std::vector<Entry>> read_opened_folder(Connection::Ticket opening);
  Outcome<std::vector<Entry>> read_folder(const Handle& handle);
  Outcome<void> ask_status(Type type, const Fields& fields);
  Outcome<void> take_status(Connection::Ticket ticket);

  Connection* connection_;
  Bandwidth* bandwidth_;
};

}  // namespace recover::backup::sftp
