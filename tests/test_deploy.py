"""What stands in deploy/ works: units, the nginx site in front of a real server, the compose file, backup and restore."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from django.conf import settings

from tests.test_serve import KEY, Running
from triforce.serve import SHUTDOWN_SECONDS

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
UNITS = ["triforce.service", "triforce-worker.service", "triforce-beat.service"]


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": f"{os.environ['PATH']}:/usr/sbin", **environment}
    return subprocess.run([str(part) for part in command], env=clean, capture_output=True, text=True, timeout=60)


def needs(program: str) -> pytest.MarkDecorator:
    path = f"{os.environ['PATH']}:/usr/sbin"
    return pytest.mark.skipif(shutil.which(program, path=path) is None, reason=f"{program} is not installed")


@needs("systemd-analyze")
@pytest.mark.parametrize("name", UNITS)
def test_the_units_are_sound_and_locked_down(name: str, tmp_path: Path) -> None:
    unit = tmp_path / name
    text = (DEPLOY / name).read_text()
    unit.write_text(text.replace("/opt/triforce", str(ROOT)))
    checked = run("systemd-analyze", "verify", "--man=no", unit)
    assert (checked.returncode, checked.stderr) == (0, "")
    exposed = run("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)
    assert exposed.returncode == 0, exposed.stdout
    assert "EnvironmentFile=/etc/triforce.env" in text and "NoNewPrivileges=yes" in text


def test_stopping_leaves_the_streams_their_time() -> None:
    stop = re.search(r"TimeoutStopSec=(\d+)", (DEPLOY / "triforce.service").read_text())
    grace = compose()["services"]["web"]["stop_grace_period"]
    assert stop and int(stop[1]) > SHUTDOWN_SECONDS + 5
    assert int(grace.rstrip("s")) > SHUTDOWN_SECONDS + 5


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def around(site: Path, tmp_path: Path) -> Path:
    """A whole configuration of nginx that includes the site, and writes nowhere else."""
    whole = tmp_path / "nginx.conf"
    folders = "\n".join(f"{kind}_temp_path {tmp_path / kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    owner = "user root;" if os.geteuid() == 0 else ""
    whole.write_text(
        f"{owner}\ndaemon off;\npid {tmp_path / 'pid'};\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{folders}\ninclude {site};\n}}\n"
    )
    return whole


@needs("nginx")
@needs("openssl")
def test_the_nginx_site_is_sound(tmp_path: Path) -> None:
    names = ("-keyout", tmp_path / "privkey.pem", "-out", tmp_path / "fullchain.pem")
    made = run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=api.example.com", *names)
    assert made.returncode == 0, made.stderr
    site = tmp_path / "site.conf"
    text = (DEPLOY / "nginx.conf").read_text().replace("/etc/letsencrypt/live/api.example.com", str(tmp_path))
    site.write_text(re.sub(r"listen (\[::\]:)?(80|443)", lambda found: f"listen {found[1] or ''}{free_port()}", text))
    assert all("so_keepalive=5:3:3" in line for line in text.splitlines() if "listen " in line)  # a dead peer is noticed as behind no proxy
    checked = run("nginx", "-t", "-e", "stderr", "-c", around(site, tmp_path))
    assert checked.returncode == 0 and "warn" not in checked.stderr, checked.stderr


@contextmanager
def nginx(upstream: Running, tmp_path: Path) -> Iterator[int]:
    """The site without TLS on a port of its own, in front of `upstream`."""
    port = free_port()
    text = (DEPLOY / "nginx.conf").read_text().replace("127.0.0.1:9000", f"127.0.0.1:{upstream.port}")
    text = re.sub(r"server \{\s+listen 80;.*?\n\}\n", "", text, flags=re.DOTALL)
    text = re.sub(r"\n\s+(ssl_|listen \[::\]).*", "", text).replace("listen 443 ssl http2", f"listen 127.0.0.1:{port}")
    site = tmp_path / "site.conf"
    site.write_text(text)
    environment = {"PATH": f"{os.environ['PATH']}:/usr/sbin"}
    command = ["nginx", "-e", "stderr", "-c", str(around(site, tmp_path))]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        wait_until_open(port, process)
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=20)


def wait_until_open(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < deadline:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise AssertionError(process.communicate(timeout=1))


@needs("nginx")
def test_nginx_hands_on_streams_and_headers_as_they_are(tmp_path: Path) -> None:
    with (
        Running([sys.executable, "-m", "tests.fakes.serve_slow_app"], VAR_DIR=str(tmp_path)) as server,
        nginx(server, tmp_path) as port,
    ):
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        client.request("GET", "/headers", headers={"client_id": "c-1", "client_secret": "s", "X-Forwarded-For": "203.0.113.9"})
        with client.getresponse() as answer:
            seen = answer.read().decode()
        assert "client_id: c-1" in seen and "x-forwarded-for: 203.0.113.9, 127.0.0.1" in seen and "x-forwarded-proto: http" in seen
        client.request("GET", "/stream")
        with client.getresponse() as stream:
            assert stream.readline() == b"first\n"  # while the upstream still holds the rest back
            assert stream.headers["X-Request-ID"].startswith("req_")
            server.process.terminate()
            assert stream.readline() == b"draining True\n"
            stream.read()
        client.close()
        assert server.wait() == 0


def compose() -> dict[str, Any]:
    loaded = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert isinstance(loaded, dict)
    return loaded


def test_the_compose_file_keeps_secrets_in_files_and_doors_closed() -> None:
    services = compose()["services"]
    assert set(services) == {"setup", "web", "worker", "beat", "postgres", "redis"}
    assert [name for name, service in services.items() if "ports" in service] == ["web"]
    assert services["web"]["ports"] == ["127.0.0.1:9000:9000"]
    assert all("healthcheck" in service or name == "web" for name, service in services.items())  # the image has web's
    used = {secret for service in services.values() for secret in service.get("secrets", [])}
    assert used == set(compose()["secrets"])
    for name in ("setup", "web", "worker", "beat"):
        assert not [key for key in services[name]["environment"] if re.search("(KEY|SECRET|PASSWORD)$|DATABASE_URL$|EMAIL_URL$", key)]
        assert services[name]["read_only"] and services[name]["cap_drop"] == ["ALL"]


def test_the_compose_file_names_only_settings_that_exist() -> None:
    known = set(re.findall(r"^([A-Z_]+)=$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    named = compose()["services"]["web"]["environment"]
    assert {name.removesuffix("_FILE") for name in named} <= known


def test_the_image_installs_what_the_repository_pins() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    copied = re.findall(r"requirements[\w-]*\.txt", text)
    assert copied and all((ROOT / name).exists() for name in copied)
    assert "USER triforce" in text and text.index("USER triforce") < text.index("CMD")
    assert ".env" in (ROOT / ".dockerignore").read_text().split()


def backup_sh(*arguments: str | Path, **environment: str) -> str:
    done = run(DEPLOY / "backup.sh", *arguments, SECRET_KEY=KEY, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_backs_up_and_restores_sqlite_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "var" / "triforce.sqlite3"
    path.parent.mkdir()
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE receipt (id INTEGER PRIMARY KEY, charged INTEGER)")
    database.executemany("INSERT INTO receipt (charged) VALUES (?)", [(number,) for number in range(1000)])
    database.execute("BEGIN IMMEDIATE")
    database.execute("UPDATE receipt SET charged = -1")  # not committed: not in the backup
    file = Path(backup_sh("backup", tmp_path / "backups", VAR_DIR=str(path.parent)))
    database.execute("COMMIT")
    database.close()
    assert file.stat().st_mode & 0o777 == 0o600 and [file] == list(file.parent.iterdir())

    backup_sh("restore", file, VAR_DIR=str(path.parent))
    restored = sqlite3.connect(path)
    assert restored.execute("SELECT count(*), min(charged), sum(charged) FROM receipt").fetchone() == (1000, 0, 499500)
    restored.close()


def test_it_forgets_old_backups(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "triforce.sqlite3").close()
    folder = tmp_path / "backups"
    folder.mkdir()
    old, other = folder / "triforce-20200101T000000Z.sqlite3", folder / "notes.txt"
    for path in (old, other):
        path.touch()
        os.utime(path, (0, 0))
    new = Path(backup_sh("backup", folder, VAR_DIR=str(tmp_path), KEEP_DAYS="30"))
    assert sorted(folder.iterdir()) == sorted([new, other])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["backup", "FOLDER"], "backup.sh: there is no database at FOLDER/triforce.sqlite3"),
        (["restore", "FOLDER/file"], "backup.sh: there is no file FOLDER/file"),
    ],
)
def test_it_says_what_is_missing(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    arguments = [argument.replace("FOLDER", str(tmp_path)) for argument in arguments]
    done = run(DEPLOY / "backup.sh", *arguments, VAR_DIR=str(tmp_path), SECRET_KEY=KEY)
    assert (done.returncode, done.stderr.strip()) == (1, sentence.replace("FOLDER", str(tmp_path)))


def test_it_says_how_it_is_used_and_which_setting_is_wrong(tmp_path: Path) -> None:
    usage = run(DEPLOY / "backup.sh")
    assert usage.returncode == 2 and "deploy/backup.sh backup FOLDER" in usage.stdout
    wrong = run(DEPLOY / "backup.sh", "backup", tmp_path)
    assert wrong.returncode == 1 and wrong.stderr.startswith("backup.sh: Set SECRET_KEY")


@pytest.mark.only_on("postgresql")
def test_it_backs_up_and_restores_postgresql(tmp_path: Path) -> None:
    url = settings.DATABASE_URL
    name = f"backup_{os.getpid()}"
    own = re.sub(r"/[^/]*$", f"/{name}", url)
    with psycopg.connect(url, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            with psycopg.connect(own, autocommit=True) as database:
                database.execute("CREATE TABLE receipt (id bigserial PRIMARY KEY, charged integer CHECK (charged >= 0))")
                database.execute("INSERT INTO receipt (charged) SELECT generate_series(0, 999)")
            file = Path(backup_sh("backup", tmp_path, DATABASE_URL=own))
            with psycopg.connect(own, autocommit=True) as database:
                database.execute("DELETE FROM receipt WHERE id > 10")
            backup_sh("restore", file, DATABASE_URL=own)
            with psycopg.connect(own, autocommit=True) as database:
                assert database.execute("SELECT count(*), sum(charged) FROM receipt").fetchone() == (1000, 499500)
                database.execute("INSERT INTO receipt (charged) VALUES (7)")  # the sequence goes on where it was
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")
