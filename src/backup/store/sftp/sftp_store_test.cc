// The SFTP store against OpenSSH's server: broken connections, dead and silent servers, full disks,
// a real sshd, and restic.
#include "backup/store/sftp/sftp_store.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <thread>

#include "backup/store/steady_store.h"
#include "test/backup/cycle.h"
#include "test/backup/full_disk.h"
#include "test/backup/stores.h"

namespace recover::backup::sftp {
namespace {

Bytes sftp_noise(std::size_t size) {
  Bytes bytes;
  for (std::uint64_t i = 0; bytes.size() < size; ++i) {
    append(bytes, sha256(view_of("sftp" + std::to_string(i))).bytes);
  }
  bytes.resize(size);
  return bytes;
}

FileName sftp_pack(View bytes) {
  return {.kind = FileKind::Pack, .id = sha256(bytes)};
}

SteadyOptions hurried() {
  SteadyOptions options;
  options.attempts = 8;
  options.first_wait = std::chrono::milliseconds(1);
  options.longest_wait = std::chrono::milliseconds(50);
  options.failures_to_open = 1000;
  return options;
}

TEST(SftpLocations, AreWrittenAsResticDoes) {
  const auto parsed = [](const char* text) { return Location::parse(text).value_or(Location()); };
  EXPECT_EQ(parsed("sftp:me@host:/srv/repo"),
            (Location{.user = "me", .host = "host", .port = "", .path = "/srv/repo"}));
  EXPECT_EQ(parsed("sftp:host:repo/"),
            (Location{.user = "", .host = "host", .port = "", .path = "repo"}));
  EXPECT_EQ(parsed("sftp://me@host:2222//srv/repo"),
            (Location{.user = "me", .host = "host", .port = "2222", .path = "/srv/repo"}));
  EXPECT_EQ(parsed("sftp://[::1]:22/repo"),
            (Location{.user = "", .host = "::1", .port = "22", .path = "repo"}));
  EXPECT_EQ(parsed("sftp://a@b@host/r").user, "a@b");
  for (const char* const bad :
       {"sftp:", "sftp:host", "sftp:host:", "sftp:-oProxyCommand=x:/r", "sftp://host", "sftp::/r",
        "sftp://host:port/r", "sftp:me@-x:/r", "sftp:a b:/r"}) {
    EXPECT_FALSE(Location::parse(bad)) << bad;
  }
  const auto words = split_words(R"(ssh -o "A b" 'c "d' e\ f  "")");
  EXPECT_EQ(words.value_or(std::vector<std::string>()),
            (std::vector<std::string>{"ssh", "-o", "A b", "c \"d", "e f", ""}));
  EXPECT_FALSE(split_words("ssh 'open"));
}

TEST(SftpPackets, AreRefusedWhenCutOff) {
  const Bytes whole = Fields().add(std::uint32_t{7}).add("abc").add_long(1).bytes();
  for (std::size_t length = 0; length <= whole.size(); ++length) {
    FieldReader fields(View(whole).first(length));
    fields.number();
    fields.text();
    fields.long_number();
    EXPECT_EQ(fields.is_good(), length == whole.size()) << length;
  }
  const Bytes lie = Fields().add(std::uint32_t{0xffffffff}).bytes();
  FieldReader lies(lie);
  EXPECT_TRUE(lies.text().empty());
  EXPECT_FALSE(lies.is_good());
}

class SftpStores : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::has_sftp_server()) GTEST_SKIP() << "openssh-sftp-server is not installed";
  }
  // The server behind a shell line, in which %s is the server.
  std::unique_ptr<Store> behind(std::string line, Duration patience = std::chrono::seconds(30)) {
    line.replace(line.find("%s"), 2, test::kSftpServer);
    SftpOptions options = test::sftp_options(folder_ / "repo");
    options.command = {"sh", "-c", line};
    options.patience = patience;
    return std::make_unique<SftpStore>(std::move(options));
  }
  test::TempFolder folder_{test::TempFolder::memory()};
};

// The answers end after so many bytes, every time a little later: at the greeting, in the middle
// of an answer, between two.
TEST_F(SftpStores, GetThroughAConnectionThatBreaks) {
  const Bytes bytes = sftp_noise(2U << 20U);
  ASSERT_TRUE(behind("exec %s")->prepare());
  for (std::uint64_t cut = 0; cut < 600; cut += 13) {
    const std::string once = folder_ / ("cut" + std::to_string(cut));
    // The first connection is cut, those after it are not. A session of its own, to be killed
    // whole.
    const std::string cutting = "exec setsid sh -c \"" + std::string(test::kSftpServer) +
                                " | { dd bs=1 status=none count=" + std::to_string(cut) +
                                "; kill -9 0; }\"";
    SteadyStore store(behind("mkdir '" + once + "' 2>/dev/null || exec %s; " + cutting), hurried());
    const auto written = store.write(sftp_pack(bytes), bytes);
    ASSERT_TRUE(written) << cut << ": " << written.error().message;
    EXPECT_TRUE(store.read(sftp_pack(bytes)).value_or(Bytes()) == bytes) << cut;
    EXPECT_EQ(store.list(FileKind::Pack)->size(), 1U) << cut;
    EXPECT_TRUE(store.sweep());
    ASSERT_TRUE(store.remove(sftp_pack(bytes))) << cut;
  }
}

TEST_F(SftpStores, LeaveNothingHalfWrittenWhenTheServerIsKilled) {
  const Bytes bytes = sftp_noise(30U << 20U);
  ASSERT_TRUE(behind("exec %s")->prepare());
  const std::string pid_file = folder_ / "pid";
  const std::unique_ptr<Store> store = behind("echo $$ >'" + pid_file + "'; exec %s");
  ASSERT_TRUE(store->list(FileKind::Key)) << "it is there";
  const pid_t server = std::stoi(test::slurp(pid_file));
  std::thread killer([&] {
    // As soon as a temporary file is there.
    const std::string id = hex(sftp_pack(bytes).id);
    const std::string data = folder_ / ("repo/data/" + id.substr(0, 2));
    while (std::filesystem::is_empty(data)) std::this_thread::yield();
    ::kill(server, SIGKILL);
  });
  const auto written = store->write(sftp_pack(bytes), bytes);
  killer.join();
  const std::unique_ptr<Store> other = behind("exec %s");
  if (!written) {
    EXPECT_EQ(written.error().kind, FailureKind::Unreachable) << written.error().message;
    EXPECT_TRUE(other->list(FileKind::Pack)->empty()) << "no half file under its name";
  }
  ASSERT_TRUE(other->sweep());
  EXPECT_TRUE(written || other->write(sftp_pack(bytes), bytes));
  EXPECT_TRUE(other->read(sftp_pack(bytes)).value_or(Bytes()) == bytes);
  EXPECT_TRUE(store->list(FileKind::Pack) || store->list(FileKind::Pack)) << "it connects anew";
}

TEST_F(SftpStores, GiveUpOnAServerThatFallsSilent) {
  const std::string pid_file = folder_ / "pid";
  const std::unique_ptr<Store> store =
      behind("echo $$ >'" + pid_file + "'; exec %s", std::chrono::milliseconds(500));
  ASSERT_TRUE(store->prepare());
  ::kill(std::stoi(test::slurp(pid_file)), SIGSTOP);
  EXPECT_EQ(store->list(FileKind::Pack).error().kind, FailureKind::Unreachable);
  EXPECT_TRUE(store->list(FileKind::Pack)) << "the next call has a new connection";
}

TEST_F(SftpStores, RefuseWhatIsNoSftpServer) {
  for (const std::string line : {"true %s", "echo Welcome to this host; exec %s", "cat %s",
                                 "head -c 100000 /dev/zero; : %s", "exit 255 %s"}) {
    const std::unique_ptr<Store> store = behind(line, std::chrono::milliseconds(500));
    const auto listed = store->list(FileKind::Pack);
    ASSERT_FALSE(listed) << line;
    EXPECT_EQ(listed.error().kind, FailureKind::Unreachable) << line;
  }
  SftpOptions options = test::sftp_options("/nowhere");
  options.command = {"/no/such/program"};
  EXPECT_EQ(SftpStore(options).list(FileKind::Pack).error().kind, FailureKind::NotFound);
}

TEST_F(SftpStores, SayThatTheDiskIsFull) {
  const test::FullDisk disk("4m");
  if (!disk.is_mounted()) GTEST_SKIP() << test::FullDisk::kMissing;
  SftpStore store(test::sftp_options(disk / "repo"));
  ASSERT_TRUE(store.prepare());
  const Bytes large = sftp_noise(8U << 20U);
  const auto written = store.write(sftp_pack(large), large);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().kind, FailureKind::Full) << written.error().message;
  EXPECT_TRUE(store.list(FileKind::Pack)->empty());
  const Bytes little = sftp_noise(1U << 20U);
  EXPECT_TRUE(store.write(sftp_pack(little), little)) << "what it had taken is free again";
}

// sshd on this machine with keys of its own, for this user.
class Sshd {
 public:
  static bool is_installed() { return std::filesystem::exists("/usr/sbin/sshd"); }
  bool start() {
    const std::string keys = "ssh-keygen -q -t ed25519 -N '' -f '" + folder_.path();
    if (::system((keys + "/host' && " + keys + "/user'").c_str()) != 0) return false;
    if (::geteuid() == 0) std::filesystem::create_directories("/run/sshd");
    port = free_port();
    test::spill(folder_ / "sshd.conf",
                "ListenAddress 127.0.0.1:" + port + "\nHostKey " + folder_ / "host" +
                    "\nAuthorizedKeysFile " + folder_ / "user.pub" +
                    "\nStrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\n"
                    "PasswordAuthentication no\nSubsystem sftp " +
                    test::kSftpServer + "\n");
    server_.start({"/usr/sbin/sshd", "-D", "-f", folder_ / "sshd.conf", "-E", folder_ / "log"});
    command = "ssh -F none -p " + port + " -i " + folder_ / "user" +
              " -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes "
              "-o LogLevel=ERROR 127.0.0.1 -s sftp";
    return true;
  }
  std::string log() { return test::slurp(folder_ / "log"); }
  const test::Server& process() const { return server_; }

  std::string port;
  std::string command;

 private:
  static std::string free_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
    socklen_t length = sizeof address;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
    ::close(fd);
    return std::to_string(ntohs(address.sin_port));
  }

  test::TempFolder folder_;
  test::Server server_;
};

TEST_F(SftpStores, ShareARepositoryWithResticOverSsh) {
  Sshd sshd;
  if (!Sshd::is_installed()) GTEST_SKIP() << "openssh-server is not installed";
  ASSERT_TRUE(sshd.start());
  for (int i = 0; i < 20; ++i) {
    test::spill(folder_ / ("data/" + std::to_string(i)), std::string(70'000, char('a' + i)));
  }
  SftpOptions options = test::sftp_options(folder_ / "repo");
  options.command = *split_words(sshd.command);
  // sshd may not listen yet: the first calls are tried again.
  SteadyStore store(std::make_unique<SftpStore>(options),
                    {.first_wait = std::chrono::milliseconds(200)});
  auto repository = test::make_repository(store);
  ASSERT_TRUE(repository) << repository.error().message << "\n" << sshd.log();
  const auto report = test::back_up(*repository, folder_ / "data");
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(test::check_all(*repository), "");
  if (!test::Restic::is_installed()) GTEST_SKIP() << "restic is not installed";
  const auto restic = [&](const std::string& arguments) {
    return test::restic_says(folder_, "-o sftp.command='" + sshd.command + "'",
                             "sftp:here:" + folder_ / "repo", arguments);
  };
  EXPECT_EQ(restic("check --read-data"), "");
  test::spill(folder_ / "data/more", std::string(70'000, 'z'));
  EXPECT_EQ(restic("backup '" + folder_ / "data'"), "");
  EXPECT_EQ(test::check_all(*repository), "");
  EXPECT_EQ(repository->snapshots()->size(), 2U);
}

}  // namespace
}  // namespace recover::backup::sftp
