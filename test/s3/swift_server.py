#!/usr/bin/python3
"""OpenStack Swift with its S3 API on 127.0.0.1, in one process, for tests of the S3 store.

usage: swift_server.py FOLDER [PORT TLS_PORT]

Everything lies in FOLDER; started again with the same folder it has the same objects. Prints
"ready PORT TLS_PORT" when it answers by HTTP on the one and HTTPS on the other; FOLDER/cert.pem is
whom to trust. The key is "test:tester", its secret "testing"; there is the bucket "backups".
Debian's package python3-swift is all it needs: none of Swift's services is installed. It ends with
its standard input.
"""
import os
import pathlib
import subprocess
import sys

import eventlet
import eventlet.wsgi

eventlet.monkey_patch()

import swift.common.utils  # noqa: E402

FOLDER = pathlib.Path(sys.argv[1]).resolve()
DEVICES = FOLDER / "devices"
SWIFT_CONF = FOLDER / "swift.conf"
KINDS = ("account", "container", "object")


def write_swift_conf():
    SWIFT_CONF.write_text(
        "[swift-hash]\nswift_hash_path_suffix = test\n"
        "[storage-policy:0]\nname = one\ndefault = yes\n")
    swift.common.utils.SWIFT_CONF_FILE = str(SWIFT_CONF)
    swift.common.utils.HASH_PATH_SUFFIX = b"test"
    swift.common.utils.HASH_PATH_PREFIX = b""


def write_ring(kind, port):
    from swift.common.ring import RingBuilder
    builder = RingBuilder(1, 1, 0)
    builder.add_dev({"id": 0, "zone": 1, "region": 1, "weight": 1.0, "ip": "127.0.0.1",
                     "port": port, "device": "d1", "meta": "",
                     "replication_ip": "127.0.0.1", "replication_port": port})
    builder.rebalance()
    builder.get_ring().save(str(FOLDER / f"{kind}.ring.gz"))


def storage_conf(kind):
    path = FOLDER / f"{kind}.conf"
    path.write_text(f"[DEFAULT]\ndevices = {DEVICES}\nmount_check = false\nswift_dir = {FOLDER}\n"
                    "fallocate_reserve = 0\ndisable_fallocate = true\n"
                    f"[pipeline:main]\npipeline = {kind}-server\n"
                    f"[app:{kind}-server]\nuse = egg:swift#{kind}\n")
    return path


PROXY = """[DEFAULT]
swift_dir = {folder}
[pipeline:main]
pipeline = catch_errors gatekeeper cache listing_formats bulk s3api tempauth slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
recheck_container_existence = 0
recheck_account_existence = 0
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:slo]
use = egg:swift#slo
"""


def serve(conf, listener, log):
    from swift.common.wsgi import loadapp
    app = loadapp(str(conf), global_conf={"log_name": conf.stem})
    eventlet.spawn(eventlet.wsgi.server, listener, app, log, custom_pool=eventlet.GreenPool(256),
                   socket_timeout=60, url_length_limit=8192, keepalive=True)


def make_bucket():
    from swift.common.internal_client import InternalClient
    client = InternalClient(str(FOLDER / "internal.conf"), "bucket", 3,
                            global_conf={"log_name": "bucket"})
    client.create_container("AUTH_test", "backups")


def make_certificate():
    if not (FOLDER / "cert.pem").exists():
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "3650", "-subj", "/CN=127.0.0.1",
             "-addext", "subjectAltName=IP:127.0.0.1",
             "-keyout", str(FOLDER / "key.pem"), "-out", str(FOLDER / "cert.pem")],
            check=True, capture_output=True)


def main():
    DEVICES.joinpath("d1").mkdir(parents=True, exist_ok=True)
    write_swift_conf()
    from swift.common import storage_policy
    listeners = {kind: eventlet.listen(("127.0.0.1", 0), backlog=256) for kind in KINDS}
    for kind, listener in listeners.items():
        write_ring(kind, listener.getsockname()[1])
    storage_policy.reload_storage_policies()
    log = open(FOLDER / "requests.log", "a", buffering=1)
    for kind in KINDS:
        serve(storage_conf(kind), listeners[kind], log)
    proxy = FOLDER / "proxy.conf"
    proxy.write_text(PROXY.format(folder=FOLDER))
    (FOLDER / "internal.conf").write_text(
        f"[DEFAULT]\nswift_dir = {FOLDER}\n[pipeline:main]\n"
        "pipeline = catch_errors proxy-server\n[app:proxy-server]\nuse = egg:swift#proxy\n"
        "account_autocreate = true\n[filter:catch_errors]\nuse = egg:swift#catch_errors\n")
    make_bucket()
    make_certificate()
    ports = [int(port) for port in sys.argv[2:4]] or [0, 0]
    public = [eventlet.listen(("127.0.0.1", port), backlog=256) for port in ports]
    names = [str(listener.getsockname()[1]) for listener in public]
    serve(proxy, public[0], log)
    serve(proxy, eventlet.wrap_ssl(public[1], certfile=str(FOLDER / "cert.pem"),
                                   keyfile=str(FOLDER / "key.pem"), server_side=True), log)
    print("ready", *names, flush=True)
    eventlet.tpool.execute(os.read, 0, 1)
    os._exit(0)


if __name__ == "__main__":
    main()
