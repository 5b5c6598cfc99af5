// Every kind of probe against real things: what passes, what fails and as what.
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>

#include "adapters/probe/test_looks.h"
#include "test/servers/nginx_server.h"
#include "test/servers/postgres_server.h"
#include "test/servers/redis_server.h"

namespace recover::adapters::probe {
namespace {

using core::FailureClass;
using core::ProbeFinished;
using core::ProbeOutcome;
using core::Symptom;
using std::chrono::milliseconds;
using test::TempDir;

constexpr std::string_view kCanary = "s3cret-canary";
const Duration kShort = milliseconds(300);

void expect_passed(const ProbeFinished& event) {
  EXPECT_EQ(event.outcome, ProbeOutcome::Passed) << event.detail;
}
void expect_failed(const ProbeFinished& event, Symptom symptom, FailureClass failure) {
  EXPECT_EQ(event.outcome, ProbeOutcome::Failed) << event.detail;
  EXPECT_EQ(event.symptom, symptom) << event.detail;
  EXPECT_EQ(event.failure, failure) << event.detail;
  EXPECT_FALSE(event.detail.empty());
  EXPECT_EQ(event.detail.find(kCanary), std::string::npos) << event.detail;
}
void expect_unknown(const ProbeFinished& event) {
  EXPECT_EQ(event.outcome, ProbeOutcome::Unknown) << event.detail;
  EXPECT_FALSE(event.detail.empty());
  EXPECT_EQ(event.detail.find(kCanary), std::string::npos) << event.detail;
}

core::HttpProbe http(const std::string& url) {
  core::HttpProbe probe;
  probe.url = base::Secret(url);
  return probe;
}

TEST(HttpProbe, StatusBodyAndCredentials) {
  test::NginxServer server(
      "location /ok { return 200 'all is well'; } location /broken { return 502; }"
      "location /who { return 401; } location /no { return 403; }"
      "location /echo { return 500 '$request_uri'; }");
  TestProber probes;
  expect_passed(probes.look(http(server.url("/ok"))));
  core::HttpProbe body = http(server.url("/ok"));
  body.body_matches = "is w[a-z]+";
  expect_passed(probes.look(body));
  body.body_matches = "is not";
  expect_failed(probes.look(body), Symptom::ProbeFailed, FailureClass::ServiceFailure);
  const auto broken = probes.look(http(server.url("/broken")));
  expect_failed(broken, Symptom::ProbeFailed, FailureClass::ServiceFailure);
  EXPECT_NE(broken.detail.find("HTTP 502"), std::string::npos) << broken.detail;
  expect_failed(probes.look(http(server.url("/who"))), Symptom::AuthenticationFailed,
                FailureClass::Authentication);
  expect_failed(probes.look(http(server.url("/no"))), Symptom::PermissionDenied,
                FailureClass::Permission);
  core::HttpProbe slow = http(server.url("/ok"));
  slow.max_latency = Duration(1);
  expect_failed(probes.look(slow), Symptom::SlowResponse, FailureClass::Timeout);
  core::HttpProbe wanted = http(server.url("/broken"));
  wanted.status = {200, 502};
  expect_passed(probes.look(wanted));
  core::HttpProbe secret =
      http(server.url("/echo?key=" + std::string(kCanary), "me:" + std::string(kCanary) + "@"));
  secret.headers = {{"X-Token", base::Secret(std::string(kCanary))}};
  expect_failed(probes.look(secret), Symptom::ProbeFailed, FailureClass::ServiceFailure);
  core::HttpProbe head = http(server.url("/ok"));
  head.method = "HEAD";
  expect_passed(probes.look(head));
}

TEST(HttpProbe, RefusedSilentAndMalformed) {
  TestProber probes;
  const std::string nobody = "http://127.0.0.1:" + std::to_string(test::free_port());
  expect_failed(probes.look(http(nobody)), Symptom::ConnectionRefused, FailureClass::Connection);
  test::NginxServer server("location / { return 200; }");
  server.child().pause();
  expect_failed(probes.look(http(server.url("/")), kShort), Symptom::ServiceUnresponsive,
                FailureClass::Timeout);
  server.child().resume();
  expect_unknown(probes.look(http("gopher://" + std::string(kCanary))));
  // Plain http where TLS is spoken: a failed handshake, not a crash.
  expect_failed(probes.look(http("https://127.0.0.1:" + std::to_string(server.port()))),
                Symptom::ProbeFailed, FailureClass::Connection);
}

TEST(HttpProbe, CertificatesAreVerified) {
  TempDir dir;
  ASSERT_EQ(test::run({"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                       "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                       "-keyout", dir / "key", "-out", dir / "cert"}),
            0);
  const std::string port = std::to_string(test::free_port());
  test::NginxServer server("listen 127.0.0.1:" + port + " ssl; ssl_certificate " + dir / "cert" +
                           "; ssl_certificate_key " + dir / "key" +
                           "; location / { return 200 well; }");
  TestProber probes;
  core::HttpProbe probe = http("https://localhost:" + port);
  probe.body_matches = "well";
  expect_failed(probes.look(probe), Symptom::ProbeFailed, FailureClass::Connection);  // Unknown CA.
  ::setenv("SSL_CERT_FILE", (dir / "cert").c_str(), 1);
  const auto trusted = probes.look(probe);
  const auto other_name = probes.look(http("https://127.0.0.1:" + port));
  ::unsetenv("SSL_CERT_FILE");
  expect_passed(trusted);
  expect_failed(other_name, Symptom::ProbeFailed, FailureClass::Connection);
}

TEST(TcpProbe, ListeningOrNot) {
  TestProber probes;
  test::NginxServer server("location / { return 200; }");
  expect_passed(probes.look(core::TcpProbe{.port = server.port()}));
  expect_passed(probes.look(core::TcpProbe{.host = "localhost", .port = server.port()}));
  expect_failed(probes.look(core::TcpProbe{.port = test::free_port()}), Symptom::ConnectionRefused,
                FailureClass::Connection);
}

TEST(TcpProbe, WithoutDescriptorsItIsUnknown) {
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
  GTEST_SKIP() << "UBSan opens a pipe to look at an object: without descriptors it finds fault";
#endif
#endif
  TestProber probes;
  expect_failed(probes.look(core::TcpProbe{.port = test::free_port()}), Symptom::ConnectionRefused,
                FailureClass::Connection);  // The resolver is set up.
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  rlimit none = before;
  none.rlim_cur = 3;
  ::setrlimit(RLIMIT_NOFILE, &none);
  const auto event = probes.look(core::TcpProbe{.port = 1});
  const auto web = probes.look(http("http://127.0.0.1:1"));
  const auto exec = probes.look(core::ExecProbe{.command = {"true"}, .environment = {}});
  ::setrlimit(RLIMIT_NOFILE, &before);
  expect_unknown(event);
  expect_unknown(web);
  expect_unknown(exec);
}

core::ExecProbe shell(const std::string& script) {
  core::ExecProbe probe;
  probe.command = {"sh", "-c", script};
  return probe;
}

TEST(ExecProbe, StatusOutputAndSecrets) {
  TestProber probes;
  expect_passed(probes.look(shell("exit 0")));
  core::ExecProbe failing = shell("echo key is $KEY; exit 3");
  failing.environment = {{"KEY", base::Secret(std::string(kCanary))}};
  const auto event = probes.look(failing);
  expect_failed(event, Symptom::ProbeFailed, FailureClass::ServiceFailure);
  EXPECT_EQ(event.detail, "exit 3: key is ***");
  expect_failed(probes.look(shell("kill -9 $$")), Symptom::ProbeFailed,
                FailureClass::ServiceFailure);
  core::ExecProbe missing;
  missing.command = {"/no/such/program"};
  expect_unknown(probes.look(missing));
  const auto long_output = probes.look(shell("head -c 100000 /dev/zero | tr '\\0' x; exit 1"));
  EXPECT_LE(long_output.detail.size(), 4200U);
}

TEST(ExecProbe, TheWholeGroupIsKilledOnTimeout) {
  TempDir dir;
  TestProber probes;
  const auto event =
      probes.look(shell("sleep 1000 & echo $! > " + dir / "pid" + "; wait"), milliseconds(1000));
  expect_failed(event, Symptom::ServiceUnresponsive, FailureClass::Timeout);
  std::ifstream file(dir / "pid");
  int pid = 0;
  ASSERT_TRUE(file >> pid);
  EXPECT_TRUE(test::eventually([&] {
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string text((std::istreambuf_iterator<char>(stat)), {});
    return text.empty() || text.find(") Z") != std::string::npos;
  }));
}

TEST(FileProbe, ExistenceAgeAndSize) {
  TempDir dir;
  TestProber probes;
  const std::string path = dir.write("file", "12345");
  core::FileProbe probe;
  probe.path = path;
  expect_passed(probes.look(probe));
  probe.max_size = 4;
  expect_failed(probes.look(probe), Symptom::ProbeFailed, FailureClass::ServiceFailure);
  probe.max_size.reset();
  probe.min_size = 6;
  expect_failed(probes.look(probe), Symptom::ProbeFailed, FailureClass::ServiceFailure);
  probe.min_size.reset();
  std::filesystem::last_write_time(
      path, std::filesystem::file_time_type::clock::now() - std::chrono::hours(2));
  probe.max_age = std::chrono::hours(3);
  expect_passed(probes.look(probe));
  probe.max_age = std::chrono::hours(1);
  expect_failed(probes.look(probe), Symptom::ProbeFailed, FailureClass::ServiceFailure);
  core::FileProbe lock;
  lock.path = path;
  lock.exists = false;
  expect_failed(probes.look(lock), Symptom::ProbeFailed, FailureClass::ServiceFailure);
  lock.path = dir / "none";
  expect_passed(probes.look(lock));
}

TEST(ProcessProbe, ByMatchPidFileAndSupervisor) {
  TempDir dir;
  TestProber probes([](core::ServiceIndex) { return 2U; });
  const std::string marker = "31.4159" + std::to_string(::getpid());
  test::Child child({"sleep", marker});
  core::ProcessProbe probe;
  probe.match = "sleep " + marker;
  ASSERT_TRUE(test::eventually([&] { return probes.look(probe).outcome == ProbeOutcome::Passed; }));
  probe.min = 2;
  expect_failed(probes.look(probe), Symptom::ProcessCrash, FailureClass::ServiceFailure);
  core::ProcessProbe by_file;
  by_file.pid_file = dir.write("pid", std::to_string(child.pid()) + "\n");
  expect_passed(probes.look(by_file));
  child.signal(SIGKILL);  // A zombie until it is reaped: it does not run.
  EXPECT_TRUE(
      test::eventually([&] { return probes.look(by_file).outcome == ProbeOutcome::Failed; }));
  core::ProcessProbe own;
  own.min = 2;
  expect_passed(probes.look(own));
  own.min = 3;
  expect_failed(probes.look(own), Symptom::ProcessCrash, FailureClass::ServiceFailure);
  TestProber unsupervised;
  expect_unknown(unsupervised.look(own));
}

TEST(ProcessProbe, TheMemoryOfTheWholeTree) {
  TestProber probes([](core::ServiceIndex) { return 1U; });  // Ourselves.
  core::ProcessProbe own;
  own.max_memory = 1U << 10U;
  expect_failed(probes.look(own), Symptom::MemoryPressure, FailureClass::ResourceExhaustion);
  own.max_memory = std::uint64_t{1} << 40U;
  expect_passed(probes.look(own));
  const std::uint64_t alone = resident_bytes({{.pid = ::getpid()}});
  test::Child child({"sh", "-c", "sleep 1000 & wait"});
  EXPECT_TRUE(test::eventually([&] { return resident_bytes({{.pid = child.pid()}}) > 1U << 20U; }));
  EXPECT_GT(resident_bytes({{.pid = ::getpid()}}), alone);
  core::ProcessProbe by_file;
  TempDir dir;
  by_file.pid_file = dir.write("pid", std::to_string(child.pid()));
  by_file.max_memory = 1;
  expect_failed(probes.look(by_file), Symptom::MemoryPressure, FailureClass::ResourceExhaustion);
}

TEST(ResourceProbe, AboveItsBound) {
  TestProber probes;  // Measures 0.95 of everything.
  expect_failed(probes.look(core::ResourceProbe{.resource = core::Resource::Memory}),
                Symptom::MemoryPressure, FailureClass::ResourceExhaustion);
  expect_passed(probes.look(core::ResourceProbe{.max = 0.96}));
}

TEST(RedisProbe, PingQueueSilenceAndRefusal) {
  test::RedisServer server;
  TestProber probes;
  core::RedisProbe probe;
  probe.port = server.port();
  probe.max_replication_lag = std::chrono::seconds(10);
  expect_passed(probes.look(probe));
  probe.queue = "jobs";
  probe.queue_depth = 2;
  expect_passed(probes.look(probe));
  ASSERT_EQ(server.cli({"RPUSH", "jobs", "a", "b", "c"}), 0);
  expect_failed(probes.look(probe), Symptom::QueueBacklog, FailureClass::ResourceExhaustion);
  EXPECT_EQ(probes.look(probe).queue_depth, 3.0);
  probe.queue = "events";
  ASSERT_EQ(server.cli({"XADD", "events", "*", "k", "v"}), 0);
  EXPECT_EQ(probes.look(probe).queue_depth, 1.0);
  probe.queue = "text";
  ASSERT_EQ(server.cli({"SET", "text", "1"}), 0);
  expect_failed(probes.look(probe), Symptom::ProbeFailed, FailureClass::ServiceFailure);
  server.child().pause();
  expect_failed(probes.look(probe, kShort), Symptom::ServiceUnresponsive, FailureClass::Timeout);
  server.child().end(SIGKILL);
  expect_failed(probes.look(probe), Symptom::ConnectionRefused, FailureClass::Connection);
}

TEST(RedisProbe, PasswordsAndOtherProtocols) {
  test::RedisServer server({"--requirepass", "right-password"});
  TestProber probes;
  core::RedisProbe probe;
  probe.port = server.port();
  expect_failed(probes.look(probe), Symptom::AuthenticationFailed, FailureClass::Authentication);
  probe.password = base::Secret(std::string(kCanary));
  expect_failed(probes.look(probe), Symptom::AuthenticationFailed, FailureClass::Authentication);
  probe.password = base::Secret("right-password");
  probe.host = "localhost";
  expect_passed(probes.look(probe));
  test::NginxServer nginx("location / { return 200; }");
  probe.port = nginx.port();
  EXPECT_EQ(probes.look(probe).outcome, ProbeOutcome::Failed);
}

// One server for all, as making one is dear.
TEST(PostgresProbe, QueriesLocksLagRestartSilenceAndSecrets) {
  test::PostgresServer server;
  TestProber probes;
  core::PostgresProbe probe;
  probe.dsn = base::Secret(server.dsn() + " password=" + std::string(kCanary));
  probe.max_replication_lag = std::chrono::seconds(10);
  probe.max_lock_wait = milliseconds(50);
  expect_passed(probes.look(probe));

  core::PostgresProbe wrong = probe;
  wrong.query = "SELECT * FROM nowhere";
  expect_failed(probes.look(wrong), Symptom::ProbeFailed, FailureClass::ServiceFailure);
  wrong = probe;
  wrong.dsn = base::Secret("host=" + server.socket_dir() +
                           " user=" + "nobody_here password=" + std::string(kCanary));
  expect_failed(probes.look(wrong), Symptom::AuthenticationFailed, FailureClass::Authentication);
  wrong.dsn = base::Secret("nonsense " + std::string(kCanary));
  expect_unknown(probes.look(wrong));
  wrong.dsn = base::Secret("host=/no/such/place password=" + std::string(kCanary));
  expect_failed(probes.look(wrong), Symptom::ConnectionRefused, FailureClass::Connection);

  ASSERT_EQ(server.sql("CREATE TABLE t (x int); INSERT INTO t VALUES (1)"), 0);
  test::Child blocker = server.session("BEGIN; UPDATE t SET x = 2; SELECT pg_sleep(1000)");
  ASSERT_TRUE(
      server.eventually_true("EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')"));
  test::Child waiter = server.session("UPDATE t SET x = 3");
  ASSERT_TRUE(
      server.eventually_true("EXISTS (SELECT FROM pg_locks WHERE NOT granted AND"
                             " clock_timestamp() - waitstart > interval '60 ms')"));
  expect_failed(probes.look(probe), Symptom::LockContention, FailureClass::Timeout);
  ASSERT_EQ(server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event ="
                       " 'PgSleep'"),
            0);
  EXPECT_EQ(waiter.wait(), 0);
  EXPECT_NE(blocker.wait(), 0);

  // The connection is kept: after a restart the next look makes another one by itself.
  probes.watch({{.spec = probe, .interval = std::chrono::hours(1)}});
  expect_passed(probes.next());
  server.child().end(SIGINT);
  server.start();
  ASSERT_TRUE(server.wait_ready());
  probes.prober().look(core::ServiceIndex{0});
  expect_passed(probes.next());

  server.child().end(SIGINT);
  probes.prober().look(core::ServiceIndex{0});
  expect_failed(probes.next(), Symptom::ConnectionRefused, FailureClass::Connection);
  server.start();
  ASSERT_TRUE(server.wait_ready());
  server.child().pause();  // The postmaster: nobody accepts.
  core::PostgresProbe other = probe;
  other.query = "SELECT 2";
  expect_failed(probes.look(other, kShort), Symptom::ServiceUnresponsive, FailureClass::Timeout);
  server.child().resume();
  core::PostgresProbe slow = probe;
  slow.query = "SELECT pg_sleep(1000)";
  expect_failed(probes.look(slow, kShort), Symptom::ServiceUnresponsive, FailureClass::Timeout);
}

}  // namespace
}  // namespace recover::adapters::probe
