"""The background work for real: embedded in the web process without Redis, by Celery's worker and clock with it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from django.conf import settings

from triforce import celery
from triforce.celery import AT_START, app

ROOT = Path(__file__).resolve().parent.parent
POST = "from billing.outbox import post; post('ada@example.com', 'Hello', 'A link', 'once')"
LOOK = """
from billing.models import OutboxMail
from llm.models import Provider
print(Provider.objects.exclude(checked_at=None).count(), OutboxMail.objects.exclude(sent_at=None).count())
"""
SERVE = [sys.executable, "manage.py", "serve", "--port", "0"]
WORKER = [sys.executable, "-m", "celery", "-A", "triforce", "worker", "-P", "solo"]
BEAT = [sys.executable, "-m", "celery", "-A", "triforce", "beat", "--schedule"]


class House:
    """An installation in a folder of its own, with mails as files."""

    def __init__(self, folder: Path, redis_url: str = "") -> None:
        self.mails = folder / "mails"
        self.environment = {
            "PATH": os.environ["PATH"],
            "SECRET_KEY": "k3y-" * 15,
            "VAR_DIR": str(folder),
            "LOCAL_MODEL": "off",
            "EMAIL_URL": f"filemail:///{self.mails}",
            "REDIS_URL": redis_url,
        }
        self.run("migrate", "-v0")

    def run(self, *arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(command, cwd=ROOT, env=self.environment, check=True, capture_output=True, text=True, timeout=60).stdout

    @contextmanager
    def process(self, command: list[str]) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            yield process
        finally:
            process.terminate()
            output, _ = process.communicate(timeout=50)
        assert process.returncode == 0, output
        assert "Traceback" not in output and "unregistered" not in output, output


def wait_for(holds: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


MODES = ["embedded", *(["redis"] if settings.REDIS_URL else [])]


@pytest.mark.parametrize("mode", MODES)
def test_it_sends_mails_and_looks_at_the_providers(mode: str, tmp_path: Path) -> None:
    house = House(tmp_path, settings.REDIS_URL if mode == "redis" else "")
    commands = [SERVE] if mode == "embedded" else [WORKER, [*BEAT, str(tmp_path / "beat")]]
    with ExitStack() as stack:
        for command in commands:
            stack.enter_context(house.process(command))
        house.run("shell", "-v0", "-c", POST)
        wait_for(lambda: house.mails.exists() and len(list(house.mails.iterdir())) == 1)
        wait_for(lambda: "0" not in house.run("shell", "-v0", "-c", LOOK).split())
    (mail,) = house.mails.iterdir()
    assert "Subject: Hello" in mail.read_text() and "A link" in mail.read_text()


@pytest.mark.django_db  # the checks of the apps look into it
def test_every_task_on_the_clock_exists() -> None:
    app.loader.import_default_modules()
    scheduled = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert scheduled | set(AT_START) <= set(app.tasks)
    assert scheduled == {name for name in app.tasks if not name.startswith(("celery.", "tests."))}
    assert celery.EVERY["billing.tasks.sweep_expired"] == 30


def test_nothing_piles_up_while_no_worker_runs() -> None:
    for entry in app.conf.beat_schedule.values():
        assert entry["options"]["expires"] <= 3600
