"""Acceptance (b), (c), (e), (f), (g): redis, nginx, PostgreSQL and a disk that fills up."""
import os
import pathlib
import shutil
import signal
import subprocess
import time
import urllib.request

from harness import (POSTGRES, Daemon, free_port, kill, run, small_disk, start_time, wait_for)

SETTINGS = """
auto_recovery:
  detection: {monitoring_interval: 1s, failure_threshold: 2, success_threshold: 1}
  recovery: {mode: automatic, max_attempts: 3, retry_delay: 300ms}
  safety: {cooldown: 100ms, max_recoveries_per_hour: 1000, blast_radius: 100%}
checkpoint: {after: 1s}
"""

RESTART = """
playbook: restart_it
name: Restart, else back to last-good
triggers: [{failure: service_failure}, {failure: connection}, {failure: timeout}]
steps:
  - {name: Restart, action: restart, timeout: 15s}
validation:
  within: 4s
  stable_for: 500ms
  success_criteria: ["service_running == true", "health_check_passing == true"]
rollback:
  - {name: Back to last-good, action: restore_checkpoint, timeout: 10s}
  - {name: Restart, action: restart, timeout: 15s}
"""


def redis_service(port):
    return f"""
  queue:
    run: {{command: [redis-server, --port, "{port}", --bind, 127.0.0.1, --save, "", --appendonly, "no"]}}
    probes:
      - redis: {{port: {port}}}
        interval: 200ms
        timeout: 500ms
    playbooks: [restart_it]
"""


def redis_answers(port):
    done = subprocess.run(["redis-cli", "-p", str(port), "PING"], capture_output=True, text=True,
                          timeout=5)
    return done.stdout.strip() == "PONG"


def b_stopped_redis_is_noticed_and_restarted():
    port = free_port()
    with Daemon(SETTINGS + "services:" + redis_service(port), RESTART) as daemon:
        daemon.until("queue", "healthy")
        before = daemon.pid("queue")
        started = start_time(before)
        kill(before, signal.SIGSTOP)
        recovery = daemon.until_recovered("queue")
        assert daemon.pid("queue") != before and start_time(before) != started
        assert redis_answers(port)
        assert "service_unresponsive" in daemon.explain(recovery), daemon.explain(recovery)


NGINX_CONF = """
worker_processes 1;
pid @HOME@/web/nginx.pid;
events { worker_connections 32; }
http {
  access_log off;
  client_body_temp_path @HOME@/web/tmp;
  server { listen 127.0.0.1:@PORT@; location / { return 200 "ok"; } }
}
"""


def fetch(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
            return answer.read().decode()
    except OSError:
        return None


def c_broken_nginx_conf_is_undone():
    port = free_port()
    service = f"""
services:
  web:
    run: {{command: [nginx, -p, @HOME@/web, -c, conf/nginx.conf, -e, stderr, -g, "daemon off;"]}}
    state: [@HOME@/web/conf]
    probes:
      - http: {{url: "http://127.0.0.1:{port}/", status: [200], body_matches: ok}}
        interval: 200ms
        timeout: 500ms
    playbooks: [restart_it]
"""
    daemon = Daemon(SETTINGS + service, RESTART)
    conf = daemon.home / "web/conf/nginx.conf"
    (daemon.home / "web/tmp").mkdir(parents=True)
    conf.parent.mkdir()
    good = NGINX_CONF.replace("@HOME@", str(daemon.home)).replace("@PORT@", str(port))
    conf.write_text(good)
    with daemon:
        daemon.until("web", "healthy")
        wait_for("last-good to be taken", lambda: daemon.service("web").get("last_checkpoint"))
        # A valid file that listens elsewhere: the reload succeeds, and nobody can reach it.
        conf.write_text(good.replace(f":{port}", f":{free_port()}"))
        daemon.exit_code("reload", "web")
        kill(daemon.pid("web"), signal.SIGHUP)
        wait_for("the bad configuration to bite", lambda: daemon.incidents("web"))
        wait_for("nginx to serve again", lambda: fetch(port) == "ok")
        assert conf.read_text() == good
        daemon.until("web", "healthy")

        # Not even valid: nginx does not start with it.
        wait_for("last-good again", lambda: daemon.service("web").get("last_checkpoint"))
        conf.write_text("this is no configuration")
        kill(daemon.pid("web"))
        wait_for("nginx to serve again", lambda: fetch(port) == "ok" and conf.read_text() == good)
        daemon.until("web", "healthy")


class Postgres:
    """The folder of a database and how to run it; as root it belongs to user postgres."""

    def __init__(self, home):
        self.home, self.port = home, free_port()
        self.data, self.run = home / "db", home / "run"
        self.data.mkdir()
        self.run.mkdir()
        self.owner = []
        if os.geteuid() == 0:
            self.owner = ["runuser", "-u", "postgres", "--"]
            shutil.chown(self.data, "postgres")
            shutil.chown(self.run, "postgres")
        subprocess.run([*self.owner, POSTGRES / "initdb", "-D", self.data, "-U", "postgres", "-A",
                        "trust", "--no-sync"], check=True, stdout=subprocess.DEVNULL)
        with open(self.data / "postgresql.conf", "a") as conf:
            conf.write(f"port = {self.port}\nlisten_addresses = ''\nfsync = off\n"
                       f"unix_socket_directories = '{self.run}'\nshared_buffers = 16MB\n")

    def service(self, probe=""):
        user = "\n      user: postgres" if self.owner else ""
        return f"""
  db:
    run:
      command: [{POSTGRES}/postgres, -D, {self.data}]{user}
      stop: {{signal: INT, timeout: 5s}}
    priority: critical
    probes:
      - postgres: {{dsn: "host={self.run} port={self.port} user=postgres dbname=postgres"{probe}}}
        interval: 300ms
        timeout: 1s
"""

    def psql(self, sql, **options):
        return subprocess.Popen(["psql", "-qXAt", "-h", self.run, "-p", str(self.port), "-U",
                                 "postgres", "-c", sql, "postgres"], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, **options)

    def query(self, sql):
        return self.psql(sql).communicate(timeout=30)[0].strip()


def e_dependents_of_a_dead_database_wait_for_it():
    daemon = Daemon("services: {}")
    postgres = Postgres(daemon.home)
    # The database can only be started while this file is there.
    gate = daemon.home / "gate"
    gate.touch()
    gated = postgres.service().replace(
        f"command: [{POSTGRES}/postgres, -D, {postgres.data}]",
        f'command: [/bin/sh, -c, "test -e {gate} && exec {POSTGRES}/postgres -D {postgres.data}"]')
    app = f"""
  app:
    run: {{command: ["/bin/sleep", "1000"]}}
    depends_on: [db]
    probes:
      - exec: {{command: [psql, -qXAt, -h, {postgres.run}, -p, "{postgres.port}", -U, postgres, -c, "SELECT 1", postgres]}}
        interval: 300ms
        timeout: 2s
    playbooks: [restart_it]
"""
    settings = SETTINGS.replace("max_attempts: 3", "max_attempts: 50")
    daemon.write(settings + "services:" + gated + "    playbooks: [restart_it]\n" + app, RESTART)
    with daemon:
        daemon.until("db", "healthy")
        daemon.until("app", "healthy")
        app_pid = daemon.pid("app")
        gate.unlink()
        kill(daemon.pid("db"), signal.SIGKILL)
        wait_for("the app's incident to be suppressed",
                 lambda: any(i["state"] == "suppressed" and i["suppressed_by"]
                             for i in daemon.incidents("app")))
        gate.touch()
        daemon.until("db", "healthy")
        daemon.until("app", "healthy")
        assert daemon.pid("app") == app_pid, "the dependent was restarted"
        assert not [r for r in daemon.recoveries("app") if r["state"] != "rejected"]


def f_cleanup_frees_only_what_it_may():
    daemon = Daemon("services: {}")
    disk = daemon.home / "disk"
    disk.mkdir()
    with small_disk(disk, "size=16m") as mounted:
        if not mounted:
            return
        (disk / "scratch").mkdir()
        (disk / "precious.tmp").write_bytes(b"p" * 1024)
        (disk / "scratch/keep.dat").write_bytes(b"k" * 1024)
        held = open(disk / "scratch/held.tmp", "wb")  # Open: must stay.
        held.write(b"h" * 4096)
        held.flush()
        os.symlink(disk / "precious.tmp", disk / "scratch/link.tmp")
        playbook = f"""
playbook: clean
name: Clean up
triggers: [{{symptom: disk_full}}]
steps:
  - name: Remove scratch files
    action: clean_files
    with: {{roots: [{disk}/scratch], globs: ["**/*.tmp"], free_target: 8MiB}}
    timeout: 10s
    irreversible: true
validation: {{within: 10s, stable_for: 300ms, success_criteria: ["health_check_passing == true"]}}
"""
        service = f"""
services:
  store:
    run: {{command: ["/bin/sleep", "1000"]}}
    probes:
      - resource: {{resource: disk, path: {disk}, max: 80%}}
        interval: 200ms
    playbooks: [clean]
"""
        daemon.write(SETTINGS + service, playbook)
        with daemon:
            daemon.until("store", "healthy")
            for number in range(15):
                (disk / f"scratch/{number:02}.tmp").write_bytes(b"x" * (1 << 20))
            recovery = daemon.until_recovered("store")
            assert (disk / "precious.tmp").exists() and (disk / "scratch/keep.dat").exists()
            assert (disk / "scratch/held.tmp").exists(), "an open file was removed"
            left = [p for p in (disk / "scratch").glob("[0-9]*.tmp")]
            assert 0 < len(left) < 15, f"{len(left)} left: it must stop at its target"
            assert "freed" in daemon.explain(recovery)
        held.close()


def g_the_blocker_of_a_lock_is_ended():
    daemon = Daemon("services: {}")
    postgres = Postgres(daemon.home)
    playbook = """
playbook: unlock
name: End the session that blocks others
triggers: [{symptom: lock_contention}]
steps:
  - {name: End blockers, action: kill_long_queries, with: {longer_than: 500ms, blockers_only: true, max: 1}, timeout: 5s, irreversible: true}
validation: {within: 10s, stable_for: 300ms, success_criteria: ["health_check_passing == true"]}
"""
    daemon.write(SETTINGS + "services:" + postgres.service(", max_lock_wait: 1s") +
                 "    playbooks: [unlock]\n", playbook)
    with daemon:
        daemon.until("db", "healthy")
        pid = daemon.pid("db")
        postgres.query("CREATE TABLE t (a int)")
        blocker = postgres.psql("BEGIN; LOCK TABLE t; SELECT pg_sleep(600)")
        wait_for("the lock to be held", lambda: postgres.query(
            "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted") != "0")
        waiter = postgres.psql("INSERT INTO t VALUES (1)")
        assert waiter.wait(60) == 0, waiter.communicate()
        assert blocker.wait(60) != 0, "the blocker was not ended"
        daemon.until_recovered("db")
        assert daemon.pid("db") == pid, "the database itself must go on"
        assert postgres.query("SELECT count(*) FROM t") == "1"


if __name__ == "__main__":
    run(b_stopped_redis_is_noticed_and_restarted, c_broken_nginx_conf_is_undone,
        e_dependents_of_a_dead_database_wait_for_it, f_cleanup_frees_only_what_it_may,
        g_the_blocker_of_a_lock_is_ended)
