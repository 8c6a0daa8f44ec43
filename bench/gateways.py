"""What is measured: how each gateway is installed, started, asked and stopped. Nothing of it is a dependency of the project; the peers
live in folders of their own outside the repository."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import database
from bench.measure import pin, pinned, tree
from bench.upstream import MODELS

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("BENCH_CACHE") or Path.home() / ".cache" / "triforce-bench")
EMAIL = "bench@example.org"
QUESTION = [{"role": "user", "content": "What is a benchmark good for?"}]
MOST = str(2**31 - 1)  # no limit is reached, but each is looked at


class Unavailable(Exception):
    """This gateway cannot be measured here; the sentence says why."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(command: list[str], seconds: float, env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> str:
    """Its standard output. Raises Unavailable with the last line of what went wrong."""
    try:
        done = subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, timeout=seconds)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{Path(command[0]).name}: {error}") from None
    if done.returncode:
        raise Unavailable(f"{Path(command[0]).name}: {(done.stderr.strip() or done.stdout.strip() or 'failed').splitlines()[-1]}")
    return done.stdout


@dataclass
class Gateway:
    """One row of the tables. `model` prefixes the fake's model names; `cores` are where it may run."""

    name: str
    cores: set[int]
    upstream: int  # the fake's port
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="triforce-bench-")))
    version: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    port: int = 0
    left_out: tuple[str, ...] = ()  # scenarios that it takes no part in

    path = "/v1/chat/completions"
    start_seconds = 60.0

    def install(self) -> None:
        """Make it runnable. Raises Unavailable."""

    def start(self) -> None:
        """Serve on self.port. Raises Unavailable."""

    def body(self, model: str, stream: bool) -> dict[str, Any]:
        return {"model": model, "messages": QUESTION, "stream": stream, "max_tokens": 1024}

    def pids(self) -> list[int]:
        return [self.process.pid] if self.process else []

    def database_pids(self, cores: set[int]) -> list[int]:
        """The processes of a database server that work for it, moved to `cores`."""
        return []

    def spawn(self, command: list[str], env: dict[str, str], ready: str) -> None:
        """Start it on its cores, and wait until GET `ready` answers 200."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=env, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=pinned(self.cores),
            )  # fmt: skip
        deadline = time.monotonic() + self.start_seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Unavailable(f"{self.name} ended with {self.process.returncode} ({self.last_words()})")
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{self.port}{ready}", timeout=2) as answer:
                if answer.status == 200:
                    return
            time.sleep(0.1)
        raise Unavailable(f"{self.name} did not answer within {self.start_seconds:g} s ({self.last_words()})")

    def last_words(self) -> str:
        lines = (self.folder / "log").read_text(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "no output"

    def stop(self) -> None:
        """End it, and every process it started; then forget its folder."""
        if self.process:
            started = tree(self.pids())
            self.process.terminate()
            try:
                self.process.wait(8)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            for pid in started[1:]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)


class Bare(Gateway):
    """No gateway: the fake upstream itself."""

    def start(self) -> None:
        self.port = self.upstream


class TriForce(Gateway):
    """Ours with everything on, in a database of the benchmark's own."""

    path = "/v1/client/chat"
    prefix = "openai/"

    def __init__(self, name: str, cores: set[int], upstream: int, *, database_url: str = "", workers: int = 1, redis_url: str = "") -> None:
        super().__init__(name, cores, upstream)
        self.database_url = database_url or f"sqlite:///{self.folder / 'bench.sqlite3'}"
        self.workers = workers
        self.redis_url = redis_url

    def env(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        return kept | {
            "SECRET_KEY": "benchmark " * 6,
            "DEBUG": "off",
            "LOCAL_MODEL": "off",
            "LOG_LEVEL": "warning",
            "VAR_DIR": str(self.folder),
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "PYTHONPATH": str(ROOT),
            "OPENAI_BASE_URL": f"http://127.0.0.1:{self.upstream}/v1",
            "OPENAI_API_KEY": "sk-bench",
            "OLLAMA_BASE_URL": f"http://127.0.0.1:{self.upstream}",
            "DJANGO_SUPERUSER_PASSWORD": "bench bench bench",
        }

    def install(self) -> None:
        """Migrate, seed, make an account and its key: the commands an operator has, in one process."""
        database.create(self.database_url)
        limits = ["--daily-tokens", "0", "--requests-per-minute", MOST, "--concurrency", MOST]
        commands = [
            ["migrate", "--verbosity", "0"],
            ["seed", "--verbosity", "0"],
            ["createsuperuser", "--noinput", "--email", EMAIL],
            ["set_tier", EMAIL, "enterprise"],
            ["set_tier_limit", "enterprise", *limits],
            ["sync_catalogue"],
            ["create_key", EMAIL],
        ]
        words = [sys.executable, "-m", "bench.prepare", MOST, *(" ".join(command) for command in commands)]
        # the gate in front of Ollama stays, but as wide as a run needs
        self.version, *_, plain_key = run(words, 120, self.env()).split()
        self.headers = {"Authorization": f"Bearer {plain_key}"}

    def start(self) -> None:
        self.port = free_port()
        command = [sys.executable, str(ROOT / "manage.py"), "serve", "--port", str(self.port), "--workers", str(self.workers)]
        self.spawn(command, self.env(), "/readyz")

    def body(self, model: str, stream: bool) -> dict[str, Any]:
        return {"message": QUESTION[0]["content"], "model": self.prefix + model, "stream": stream, "max_tokens": 1024}

    def database_pids(self, cores: set[int]) -> list[int]:
        if not database.is_postgres(self.database_url):
            return []
        pin(database.own(self.database_url), cores)
        return database.processes(self.database_url)

    def stop(self) -> None:
        super().stop()
        database.drop(self.database_url)


class LiteLLM(Gateway):
    """LiteLLM's proxy as its documentation runs it in production: one worker, errors logged only; no database, one master key."""

    def install(self) -> None:
        venv = CACHE / "litellm"
        if not (venv / "bin" / "litellm").exists():
            CACHE.mkdir(parents=True, exist_ok=True)
            run([sys.executable, "-m", "venv", str(venv)], 120)
            # 1.82.7 and 1.82.8 carried a credential stealer
            run([str(venv / "bin" / "pip"), "install", "-q", "--disable-pip-version-check", "litellm[proxy]!=1.82.7,!=1.82.8"], 900)
        ask = "from importlib.metadata import version; print(version('litellm'))"
        self.version = run([str(venv / "bin" / "python"), "-c", ask], 60).strip()
        if self.version in ("1.82.7", "1.82.8"):
            raise Unavailable(f"litellm {self.version} is not to be run")
        self.headers = {"Authorization": "Bearer sk-bench"}

    def start(self) -> None:
        self.port = free_port()
        models = "".join(
            f"  - model_name: {name}\n    litellm_params:\n      model: openai/{name}\n"
            f"      api_base: http://127.0.0.1:{self.upstream}/v1\n      api_key: sk-bench\n"
            for name in MODELS
        )
        settings = "litellm_settings:\n  request_timeout: 600\n  set_verbose: false\n  telemetry: false\n  num_retries: 0\n"
        (self.folder / "config.yaml").write_text(f"model_list:\n{models}{settings}general_settings:\n  master_key: sk-bench\n")
        env = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ} | {
            "HOME": str(self.folder),
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_LOG": "ERROR",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_TELEMETRY": "False",
            "NO_PROXY": "127.0.0.1",
        }
        command = [str(CACHE / "litellm" / "bin" / "litellm"), "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(self.port)]
        self.spawn([*command, "--num_workers", "1", "--telemetry", "False"], env, "/health/liveliness")


class Portkey(Gateway):
    """Portkey's open-source gateway. It has neither accounts nor a ledger."""

    def install(self) -> None:
        if not shutil.which("node") or not shutil.which("npm"):
            raise Unavailable("Portkey: node and npm are not installed")
        module = CACHE / "portkey" / "node_modules" / "@portkey-ai" / "gateway"
        if not module.exists():
            (CACHE / "portkey").mkdir(parents=True, exist_ok=True)
            run(["npm", "install", "--no-audit", "--no-fund", "--prefix", str(CACHE / "portkey"), "@portkey-ai/gateway"], 600)
        self.version = run(["node", "-p", f"require('{module}/package.json').version"], 20).strip()
        self.headers = {
            "Authorization": "Bearer sk-bench",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"http://127.0.0.1:{self.upstream}/v1",
        }

    def start(self) -> None:
        self.port = free_port()
        module = CACHE / "portkey" / "node_modules" / "@portkey-ai" / "gateway"
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1"}
        self.spawn(
            [
                "node",
                "--import",
                str(ROOT / "bench" / "portkey.mjs"),
                str(module / "build" / "start-server.js"),
                "--headless",
                f"--port={self.port}",
            ],
            env,
            "/",
        )


@contextlib.contextmanager
def fake_upstream(cores: set[int]) -> Iterator[tuple[int, int]]:
    """The fake, on `cores`; its port and its process."""
    process = subprocess.Popen([sys.executable, "-m", "bench.upstream"], cwd=ROOT, stdout=subprocess.PIPE, preexec_fn=pinned(cores))
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline()), process.pid
    finally:
        process.terminate()
        process.wait(5)
