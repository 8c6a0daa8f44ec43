"""The payment simulator beside the server: when it runs, with which keys, and that neither outlives the other."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.processes import wait_until
from tests.test_serve import KEY, ROOT, Running, manage
from tests.test_settings import value

SERVE = [sys.executable, "manage.py", "serve", "--prepare"]


def free_ports() -> int:
    """A port that is free, as is the one after it."""
    for _ in range(100):
        with socket.create_server(("127.0.0.1", 0)) as first:
            port = first.getsockname()[1]
            try:
                socket.create_server(("127.0.0.1", port + 1)).close()
            except OSError:
                continue
            return port
    raise AssertionError("no two free ports")


def setting(name: str, tmp_path: Path, **environment: str) -> str:
    return value(f"settings.{name}", tmp_path, **environment)


def test_it_is_there_in_development_without_a_key(tmp_path: Path) -> None:
    assert setting("SIMULATED", tmp_path, DEBUG="on") == "True"
    assert setting("STRIPE_API_HOST", tmp_path, DEBUG="on", PORT="9100") == "http://127.0.0.1:9101"
    keys = [setting("STRIPE_SECRET_KEY", tmp_path, DEBUG="on") for _ in range(2)]
    assert keys[0] == keys[1] and keys[0].startswith("sk_test_") and keys[0].removeprefix("sk_test_").isalnum()
    assert setting("STRIPE_WEBHOOK_SECRET", tmp_path, DEBUG="on").startswith("whsec_")
    for name in ("simulated_stripe_key", "simulated_webhook_secret"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("environment", "simulated"),
    [
        ({"SECRET_KEY": KEY}, "False"),
        ({"SECRET_KEY": KEY, "STRIPE_SIMULATOR": "on"}, "True"),
        ({"DEBUG": "on", "STRIPE_SIMULATOR": "off"}, "False"),
        (
            {"DEBUG": "on", "STRIPE_SECRET_KEY": f"sk_test_{'aB3' * 9}", "STRIPE_WEBHOOK_SECRET": "whsec_abcdefghijklmnopqrstuvwxyz012345"},
            "False",
        ),
    ],
)
def test_it_stands_back_elsewhere(environment: dict[str, str], simulated: str, tmp_path: Path) -> None:
    assert setting("SIMULATED", tmp_path, **environment) == simulated


def test_it_never_stands_beside_a_key(tmp_path: Path) -> None:
    done = manage(tmp_path, "check", STRIPE_SIMULATOR="on", STRIPE_SECRET_KEY=f"sk_live_{'a' * 24}")
    assert done.returncode == 1
    assert done.stderr.startswith("triforce: STRIPE_SIMULATOR=on takes Stripe's place") and done.stderr.count("\n") == 1


def test_the_server_brings_it_along_and_takes_it_away(tmp_path: Path) -> None:
    port = free_ports()
    simulator = f"http://127.0.0.1:{port + 1}"
    with Running([*SERVE, "--port", str(port)], VAR_DIR=str(tmp_path), DEBUG="on", PORT=str(port)) as server:
        assert httpx.get(f"{simulator}/simulator/health").json() == {"ok": True, "simulator": True}
        key = (tmp_path / "simulated_stripe_key").read_text()
        ask: dict[str, Any] = {"auth": (key, ""), "timeout": 10}
        prices = httpx.get(f"{simulator}/v1/prices", **ask).json()["data"]
        assert sorted(price["unit_amount"] for price in prices) == [1899, 5999, 18999, 59999]
        endpoints = httpx.get(f"{simulator}/v1/webhook_endpoints", **ask).json()["data"]
        assert [endpoint["url"] for endpoint in endpoints] == [f"http://127.0.0.1:{port}/stripe/webhook"]
        assert server.end() == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{simulator}/simulator/health")
    assert "Traceback" not in server.errors


def test_it_is_started_again_when_it_dies_and_dies_with_the_server(tmp_path: Path) -> None:
    port = free_ports()
    health = f"http://127.0.0.1:{port + 1}/simulator/health"
    with Running([*SERVE, "--port", str(port)], VAR_DIR=str(tmp_path), DEBUG="on", PORT=str(port)) as server:
        first = _child(server.process.pid)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: _child(server.process.pid) not in (0, first), 15)
        wait_until(lambda: _answers(health), 15)
        server.process.kill()
        wait_until(lambda: not _answers(health), 15)


def test_it_says_that_its_port_is_taken(tmp_path: Path) -> None:
    port = free_ports()
    with socket.create_server(("127.0.0.1", port + 1)):
        done = manage(tmp_path, "serve", "--prepare", "--port", str(port), DEBUG="on", PORT=str(port))
    assert done.returncode == 1
    last = done.stderr.strip().rpartition("\n")[2]
    assert last.startswith(f"CommandError: The payment simulator cannot start on port {port + 1} (")
    assert "STRIPE_SIMULATOR=off" in last


def test_the_program_listens_on_this_machine_alone_and_ends_when_told(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "billing.simulator", "--port", "0", "--state", str(tmp_path / "made" / "state.sqlite3")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        line = process.stdout.readline()
        assert line.startswith("The payment simulator listens on http://127.0.0.1:") and "no real money" in line
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_the_program_needs_no_django() -> None:
    code = "import sys, billing.simulator.server; print([name for name in sys.modules if name.partition('.')[0] in ('django', 'stripe')])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


def _child(pid: int) -> int:
    """The simulator's process; 0 while there is none."""
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split() + _of_threads(pid):
        if b"billing.simulator" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    return 0


def _of_threads(pid: int) -> list[str]:
    return [child for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        time.sleep(0.05)  # between two looks at another process
        return False
