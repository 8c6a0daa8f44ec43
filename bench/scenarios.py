"""What is measured, and how long: each scenario is one load, repeated in rounds over all gateways in turn."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from bench.gateways import ROOT, Gateway
from bench.load import PATIENCE, Job
from bench.measure import pinned


@dataclass(frozen=True)
class Scenario:
    """`share` of the profile's seconds; `ramp` spreads the starts over one stream's length, so that streams begin evenly."""

    name: str
    model: str
    stream: bool
    concurrency: int
    ramp: float = 0.0
    share: float = 1.0
    rounds: int = 99  # at most

    @property
    def tokens(self) -> int:
        return int(self.model.split("-")[1])


ONE = Scenario("one at a time", "bench-20-0", False, 1, share=0.7)
PLAIN = Scenario("16 plain", "bench-20-0", False, 16)
STREAMS = Scenario("16 streams", "bench-100-0", True, 16)
PACED = Scenario("100 streams, 10 ms a chunk", "bench-100-10", True, 100, ramp=1.0, share=1.2, rounds=2)
CROWD = Scenario("500 streams, 20 tokens/s", "bench-100-50", True, 500, ramp=5.0, share=1.6, rounds=2)
SCENARIOS = (ONE, PLAIN, STREAMS, PACED, CROWD)


@dataclass(frozen=True)
class Profile:
    """How much is measured. Times in seconds; `crowd` divides the streams of CROWD and PACED for a machine that is only smoke-tested."""

    name: str
    seconds: float
    rounds: int
    aborts: int
    receipts: tuple[int, ...]
    divide: int = 1
    workers: bool = True


QUICK = Profile("quick", seconds=0.6, rounds=1, aborts=50, receipts=(1000,), divide=10, workers=False)
DEFAULT = Profile("default", seconds=2.5, rounds=3, aborts=2000, receipts=(1000, 100_000))
LONG = Profile("long", seconds=5.0, rounds=5, aborts=2000, receipts=(1000, 100_000, 10_000_000))


@dataclass
class Bench:
    """Sends loads from `cores`, where PostgreSQL and the fake upstream work as well."""

    profile: Profile
    cores: set[int]
    upstream: int
    upstream_pid: int

    def measure(self, scenario: Scenario, gateway: Gateway) -> dict[str, Any]:
        seconds = self.profile.seconds * scenario.share
        if scenario.ramp and self.profile.divide > 1:  # counted from the start: the window is shorter than one stream
            concurrency = max(1, scenario.concurrency // self.profile.divide)
            return self.send(gateway, scenario, concurrency=concurrency, seconds=seconds, ramp=seconds, warm=-seconds)
        return self.send(gateway, scenario, concurrency=scenario.concurrency, seconds=seconds, ramp=scenario.ramp)

    def abort(self, gateway: Gateway, count: int) -> dict[str, Any]:
        """`count` streams left at their first token, 50 at a time."""
        return self.send(gateway, PACED, concurrency=50, seconds=0, count=count, abort=True)

    def warm_up(self, gateway: Gateway) -> dict[str, Any]:
        """A second of each kind. Raises nothing: its result says whether the gateway answers rightly."""
        self.send(gateway, STREAMS, concurrency=16, seconds=0.5)
        return self.send(gateway, PLAIN, concurrency=16, seconds=0.5)

    def send(self, gateway: Gateway, scenario: Scenario, **options: Any) -> dict[str, Any]:
        job = Job(
            host="127.0.0.1",
            port=gateway.port,
            path=gateway.path,
            headers=gateway.headers,
            body=gateway.body(scenario.model, scenario.stream),
            tokens=scenario.tokens,
            stats_port=self.upstream,
            watch={"gateway": gateway.pids(), "database": gateway.database_pids(self.cores), "upstream": [self.upstream_pid]},
            **options,
        )
        command = [sys.executable, "-m", "bench.load"]
        most = job.ramp + job.warm + job.seconds + PATIENCE + 20 + job.count / 10
        done = subprocess.run(
            command, input=orjson.dumps(asdict(job)), cwd=ROOT, stdout=subprocess.PIPE, timeout=most, check=True,
            preexec_fn=pinned(self.cores),
        )  # fmt: skip
        return {name: math.nan if value is None else value for name, value in orjson.loads(done.stdout).items()}  # JSON knows no nan
