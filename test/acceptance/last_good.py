#!/usr/bin/env python3
"""A configuration deployed by hand, with a reload that recoverd did not make: what does no harm
becomes last-good, what breaks the service is undone from the last-good before."""
import signal
import urllib.error
import urllib.request

from harness import Daemon, free_port, kill, run, wait_for

SETTINGS = """
auto_recovery:
  detection: {failure_threshold: 2, success_threshold: 1}
  analysis: {analysis_timeout: 3s}
  recovery: {mode: automatic, retry_delay: 1s, max_attempts: 5}
  safety: {cooldown: 1s, blast_radius: 100%}
checkpoint: {after: 2s}
"""

BACK = """
playbook: back
risk: low
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

CONF = """
worker_processes 1;
pid @HOME@/web/nginx.pid;
events { worker_connections 32; }
http {
  access_log off;
  client_body_temp_path @HOME@/web/tmp;
  server { listen 127.0.0.1:@PORT@; location / { return @ANSWER@; } }
}
"""


def fetch(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
            return answer.read().decode()
    except (OSError, urllib.error.URLError):
        return None


def nginx(home, port):
    return f"""
services:
  web:
    run: {{command: [nginx, -p, {home}/web, -c, conf/nginx.conf, -e, stderr, -g, "daemon off;"]}}
    state: [{home}/web/conf]
    probes:
      - http: {{url: "http://127.0.0.1:{port}/", status: [200], body_matches: ok}}
        interval: 200ms
        timeout: 500ms
    playbooks: [back]
"""


class Web:
    def __init__(self):
        self.port = free_port()
        self.daemon = Daemon("services: {}")
        home = self.daemon.home
        self.conf = home / "web/conf/nginx.conf"
        (home / "web/tmp").mkdir(parents=True)
        self.conf.parent.mkdir()
        self.write('200 "ok one"')
        self.daemon.write(SETTINGS + nginx(home, self.port), BACK)

    def write(self, answer):
        text = CONF.replace("@HOME@", str(self.daemon.home)).replace("@PORT@", str(self.port))
        self.conf.write_text(text.replace("@ANSWER@", answer))

    def last_good(self):
        return self.daemon.service("web").get("last_checkpoint")

    def reload(self):
        """As `nginx -s reload` does, past recoverd."""
        kill(self.daemon.pid("web"), signal.SIGHUP)


def a_change_by_hand_becomes_last_good_and_a_bad_one_is_undone():
    web = Web()
    with web.daemon as daemon:
        daemon.until("web", "healthy")
        first = wait_for("the first last-good", web.last_good)
        web.write('200 "ok two"')
        web.reload()
        wait_for("the change to be served", lambda: fetch(web.port) == "ok two")
        wait_for("it to be last-good", lambda: web.last_good() != first)
        good = web.conf.read_text()
        web.write('500 "broken"')
        web.reload()
        wait_for("it to be undone", lambda: web.conf.read_text() == good)
        wait_for("the second to be served", lambda: fetch(web.port) == "ok two")
        daemon.until("web", "healthy")


def what_nobody_read_does_not_hide_what_worked():
    web = Web()
    with web.daemon as daemon:
        daemon.until("web", "healthy")
        first = wait_for("the first last-good", web.last_good)
        good = web.conf.read_text()
        web.conf.write_text("this is no configuration")
        # nginx goes on without reading it, so after a while it looks as if it did no harm.
        wait_for("it to be last-good", lambda: web.last_good() != first)
        kill(daemon.pid("web"))
        wait_for("what it started with", lambda: web.conf.read_text() == good)
        wait_for("nginx to serve again", lambda: fetch(web.port) == "ok one")
        daemon.until("web", "healthy")


run(a_change_by_hand_becomes_last_good_and_a_bad_one_is_undone,
    what_nobody_read_does_not_hide_what_worked)
