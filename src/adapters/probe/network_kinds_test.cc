// dns, tls_expiry and mysql against real servers.
#include <gtest/gtest.h>

#include <filesystem>

#include "adapters/probe/test_looks.h"
#include "test/servers/child.h"

namespace recover::adapters::probe {
namespace {

using core::FailureClass;
using core::ProbeFinished;
using core::ProbeOutcome;
using core::Symptom;
using test::Child;
using test::TempDir;

const Duration kBrief = std::chrono::milliseconds(300);

void expect_passed(const ProbeFinished& event) {
  EXPECT_EQ(event.outcome, ProbeOutcome::Passed) << event.detail;
}
void expect_failed(const ProbeFinished& event, Symptom symptom, FailureClass failure) {
  EXPECT_EQ(event.outcome, ProbeOutcome::Failed) << event.detail;
  EXPECT_EQ(event.symptom, symptom) << event.detail;
  EXPECT_EQ(event.failure, failure) << event.detail;
}

TEST(DnsProbe, AnswersAndTheirAbsence) {
  TestProber probes;
  core::DnsProbe probe;
  probe.server = "127.0.0.1";
  probe.name = "web.test";
  Child server;
  ASSERT_TRUE(test::eventually([&] {
    probe.port = test::free_port();
    server = Child({"dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null",
                    "--port=" + std::to_string(probe.port), "--listen-address=127.0.0.1",
                    "--bind-interfaces", "--no-resolv", "--no-hosts", "--no-daemon",
                    "--host-record=web.test,10.1.2.3,fd00::7", "--mx-host=web.test,mail.test,10",
                    "--txt-record=web.test,one,two", "--cname=alias.test,web.test",
                    "--srv-host=_x._tcp.test,web.test,8080", "--local=/test/"});
    return test::eventually([&] { return test::listens(probe.port) || server.ended(); }) &&
           server.pid() > 0;
  }));
  const ProbeFinished found = probes.look(probe);
  expect_passed(found);
  EXPECT_NE(found.detail.find("10.1.2.3"), std::string::npos) << found.detail;
  using Type = core::DnsProbe::Type;
  const auto is = [&](Type type, const std::string& name, const std::string& value) {
    core::DnsProbe other = probe;
    other.type = type;
    other.name = name;
    other.expect = {value};
    expect_passed(probes.look(other));
  };
  is(Type::A, "web.test", "10.1.2.3");
  is(Type::A, "alias.test", "10.1.2.3");
  is(Type::Aaaa, "web.test", "fd00::7");
  is(Type::Mx, "web.test", "mail.test");
  is(Type::Txt, "web.test", "onetwo");
  is(Type::Srv, "_x._tcp.test", "web.test");
  core::DnsProbe wrong = probe;
  wrong.expect = {"10.9.9.9"};
  expect_failed(probes.look(wrong), Symptom::ProbeFailed, FailureClass::ServiceFailure);
  wrong.expect.clear();
  wrong.name = "nobody.test";
  expect_failed(probes.look(wrong), Symptom::ProbeFailed, FailureClass::ServiceFailure);
  wrong.name = "elsewhere.example";  // It has nobody to ask.
  expect_failed(probes.look(wrong), Symptom::PermissionDenied, FailureClass::Permission);
  wrong.name = std::string(300, 'x');
  EXPECT_EQ(probes.look(wrong).outcome, ProbeOutcome::Unknown);
  server.pause();
  expect_failed(probes.look(probe, kBrief), Symptom::ServiceUnresponsive, FailureClass::Timeout);
  server.end(SIGKILL);
  expect_failed(probes.look(probe), Symptom::ConnectionRefused, FailureClass::Connection);
}

// A key and a certificate good for so many days, in one file each.
void make_certificate(const TempDir& dir, const std::string& name, const std::string& days) {
  ASSERT_EQ(test::run({"openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout",
                       dir / (name + ".key"), "-out", dir / (name + ".pem"), "-days", days, "-subj",
                       "/CN=" + name + ".test"}),
            0);
}

TEST(TlsExpiryProbe, ServersAndFiles) {
  TempDir dir;
  make_certificate(dir, "short", "7");
  TestProber probes;
  core::TlsExpiryProbe probe;
  Child server;
  ASSERT_TRUE(test::eventually([&] {
    probe.port = test::free_port();
    server = Child({"openssl", "s_server", "-accept", std::to_string(probe.port), "-cert",
                    dir / "short.pem", "-key", dir / "short.key", "-quiet"},
                   dir / "log");
    return test::eventually([&] { return test::listens(probe.port) || server.ended(); }) &&
           server.pid() > 0;
  }));
  const ProbeFinished soon = probes.look(probe);  // Two weeks are wanted.
  expect_failed(soon, Symptom::ProbeFailed, FailureClass::Authentication);
  EXPECT_NE(soon.detail.find("/CN=short.test expires in "), std::string::npos) << soon.detail;
  probe.min_left = std::chrono::hours(48);
  probe.server_name = "short.test";
  expect_passed(probes.look(probe));
  server.pause();
  expect_failed(probes.look(probe, kBrief), Symptom::ServiceUnresponsive, FailureClass::Timeout);
  server.end(SIGKILL);
  expect_failed(probes.look(probe), Symptom::ConnectionRefused, FailureClass::Connection);

  core::TlsExpiryProbe file;
  file.file = dir / "short.pem";
  expect_failed(probes.look(file), Symptom::ProbeFailed, FailureClass::Authentication);
  file.min_left = std::chrono::hours(1);
  expect_passed(probes.look(file));
  file.file = dir.write("none.pem", "no certificate");
  expect_failed(probes.look(file), Symptom::ProbeFailed, FailureClass::ServiceFailure);
  file.file = dir / "absent.pem";
  expect_failed(probes.look(file), Symptom::ProbeFailed, FailureClass::ServiceFailure);
}

TEST(MysqlProbe, WithoutServer) {
  TestProber probes;
  core::MysqlProbe probe;
  probe.user = "monitor";
  probe.port = test::free_port();
  expect_failed(probes.look(probe), Symptom::ConnectionRefused, FailureClass::Connection);
  probe.socket = "/no/such/socket";
  expect_failed(probes.look(probe), Symptom::ConnectionRefused, FailureClass::Connection);
}

TEST(MysqlProbe, PingQueryAndRefusals) {
  if (!std::filesystem::exists("/usr/sbin/mariadbd")) GTEST_SKIP() << "no mariadb-server-core";
  TempDir dir;
  ASSERT_EQ(test::run({"mariadb-install-db", "--no-defaults", "--datadir=" + dir / "data",
                       "--auth-root-authentication-method=normal", "--skip-test-db", "--user=root"},
                      dir / "log"),
            0);
  TestProber probes;
  core::MysqlProbe probe;
  probe.user = "root";
  Child server;
  ASSERT_TRUE(test::eventually([&] {
    probe.port = test::free_port();
    server = Child({"mariadbd", "--no-defaults", "--user=root", "--datadir=" + dir / "data",
                    "--socket=" + dir / "socket", "--bind-address=127.0.0.1", "--skip-name-resolve",
                    "--port=" + std::to_string(probe.port), "--pid-file=" + dir / "pid"},
                   dir / "log");
    return test::eventually([&] { return test::listens(probe.port) || server.ended(); }) &&
           server.pid() > 0;
  }));
  core::MysqlProbe local = probe;
  local.socket = dir / "socket";
  expect_passed(probes.look(local));
  local.query = "SELECT 1";
  expect_passed(probes.look(local));
  local.query = "SELECT nothing FROM nowhere.at_all";
  expect_failed(probes.look(local), Symptom::ProbeFailed, FailureClass::ServiceFailure);
  core::MysqlProbe stranger = probe;
  stranger.user = "stranger";
  stranger.password = base::Secret("s3cret-canary");
  const ProbeFinished refused = probes.look(stranger);
  expect_failed(refused, Symptom::AuthenticationFailed, FailureClass::Authentication);
  EXPECT_EQ(refused.detail.find("canary"), std::string::npos);
  server.pause();
  expect_failed(probes.look(local, kBrief), Symptom::ServiceUnresponsive, FailureClass::Timeout);
  server.end(SIGKILL);
  expect_failed(probes.look(probe), Symptom::ConnectionRefused, FailureClass::Connection);
}

}  // namespace
}  // namespace recover::adapters::probe
