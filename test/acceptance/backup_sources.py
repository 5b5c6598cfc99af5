"""Databases and a git repository backed up by the daemon, each started from its backup and asked; a
server that is gone is a failed backup and no snapshot."""
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import tempfile

from harness import BIN, POSTGRES, Daemon, free_port, run, wait_for

PASSWORD = "acceptance-canary-of-redis"


class Servers:
    """A PostgreSQL, a Redis, an SQLite file, a git repository and an empty remote of it."""

    def __enter__(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="recoverd-sources-"))
        self.home.chmod(0o755)
        self.started = []
        self.port = free_port()
        os.umask(0o022)
        self.start_redis()
        self.start_postgres()
        with sqlite3.connect(self.home / "app.db") as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("CREATE TABLE item(name)")
            database.execute("INSERT INTO item VALUES('one')")
        self.shell("git init -q -b main work && cd work && git -c user.name=u -c user.email=u@h commit"
                   " -q --allow-empty -m first && git tag v1 && git init -q --bare ../mirror.git")
        wait_for("redis", lambda: self.redis("SET", "colour", "blue") == 0)
        wait_for("PostgreSQL", lambda: self.psql("SELECT 1") == 0)
        assert self.psql("CREATE TABLE item AS SELECT generate_series(1, 10) AS id") == 0
        return self

    def __exit__(self, *_):
        for process in reversed(self.started):
            process.kill()
            process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def shell(self, text):
        subprocess.run(["sh", "-c", text], cwd=self.home, check=True)

    def quiet(self, command):
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode

    def redis(self, *words):
        return self.quiet(["redis-cli", "-p", str(self.port), "-a", PASSWORD, *words])

    def psql(self, text):
        return self.quiet([POSTGRES / "psql", "-X", "-d", self.dsn(), "-c", text])

    def dsn(self):
        return f"host={self.home}/socket user=postgres dbname=postgres"

    def start_redis(self):
        self.started.append(subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--requirepass", PASSWORD, "--repl-diskless-sync-delay", "0", "--dir", self.home],
            stdout=subprocess.DEVNULL))

    def start_postgres(self):
        owner = []
        for name in ("data", "socket"):
            (self.home / name).mkdir()
        if os.geteuid() == 0:
            owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            subprocess.run(["chown", "postgres", "data", "socket"], cwd=self.home, check=True)
        subprocess.run([*owner, POSTGRES / "initdb", "-A", "trust", "-U", "postgres", "-N", "-D",
                        self.home / "data", "--locale=C", "-E", "UTF8"], check=True,
                       stdout=subprocess.DEVNULL)
        self.started.append(subprocess.Popen(
            [*owner, POSTGRES / "postgres", "-D", self.home / "data", "-k", self.home / "socket",
             "-c", "listen_addresses=", "-c", "fsync=off"], stderr=subprocess.DEVNULL))


def configuration(servers):
    return f"""
backup:
  repositories: {{near: {{location: {servers.home}/repository, password: "${{env:KEY}}"}}}}
  types:
    db:
      schedule: {{incremental: "*/2 * * * * *"}}
      attempts: 1
      sources:
        - postgres: {{dsn: "{servers.dsn()}"}}
          query: "SELECT sum(id) FROM item"
          expect: "55"
        - redis: {{port: {servers.port}, password: "${{env:REDIS}}"}}
          query: GET colour
          expect: blue
        - sqlite: [{servers.home}/app.db]
        - git: {{repository: {servers.home}/work, remotes: [{servers.home}/mirror.git]}}
  restore_test: "*/2 * * * * *"
  verification: never
"""


def reports(daemon):
    folder = daemon.home / "state/backups/reports"
    return [json.loads(path.read_text()) for path in folder.glob("*.json")]


def report_of(daemon, what, good):
    found = [one for one in reports(daemon) if good(one)]
    return found[0] if found else None


def snapshots(servers, environment):
    listed = subprocess.run([BIN / "recoverctl", "--json", "backup", "list", "--repo",
                             servers.home / "repository"], env=environment, check=True,
                            capture_output=True, text=True).stdout
    return json.loads(listed)["snapshots"]


def databases_are_backed_up_started_and_asked():
    keys = {"KEY": "acceptance-canary-of-backup", "REDIS": PASSWORD}
    environment = dict(os.environ, RESTIC_PASSWORD=keys["KEY"])
    with Servers() as servers:
        subprocess.run([BIN / "recoverctl", "backup", "init", "--repo", servers.home / "repository"],
                       env=environment, check=True, stdout=subprocess.DEVNULL)
        with Daemon(configuration(servers), environment=keys) as daemon:
            tested = wait_for("a good restore test", lambda: report_of(
                daemon, "restore test",
                lambda one: one["task"] == "restore-test" and one["state"] == "succeeded"))
            answers = {one["source"]: one["answer"] for one in tested["result"]["drills"]}
            assert answers == {"postgres": "55", "redis": "blue", "sqlite": "app.db: 1", "git": "2"}, \
                answers
            assert tested["rto_seconds"] > 0, tested
            mirrored = subprocess.run(["git", "-C", servers.home / "mirror.git", "show-ref"],
                                      check=True, capture_output=True, text=True).stdout
            assert "refs/heads/main" in mirrored and "refs/tags/v1" in mirrored, mirrored

            servers.redis("SHUTDOWN", "NOSAVE")
            failed = wait_for("a failed backup", lambda: report_of(
                daemon, "backup", lambda one: one["state"] == "failed" and "redis" in one.get("error", "")))
            assert "Connection refused" in failed["error"], failed
            text = (daemon.home / "log").read_text() + json.dumps(reports(daemon))
            for canary in keys.values():
                assert canary not in text, "a secret was told"
        dumped = subprocess.run(
            [BIN / "recoverctl", "backup", "dump", "latest", "/redis-dump.rdb", "--repo",
             servers.home / "repository"], env=environment, check=True, capture_output=True).stdout
        assert dumped.startswith(b"REDIS") and b"colour" in dumped
        sets = {}
        for one in snapshots(servers, environment):
            name = next(tag for tag in one["tags"] if tag.startswith("set:"))
            sets[name] = sets.get(name, 0) + 1
        assert all(int(name.rpartition("/")[2]) == count for name, count in sets.items()), sets


run(databases_are_backed_up_started_and_asked)
