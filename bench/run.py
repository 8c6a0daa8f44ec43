"""`make bench`: measures, prints the tables, writes them to bench/out/. `python -m bench --help` lists what can be chosen."""

from __future__ import annotations

import argparse
import contextlib
import copy
import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from bench import database, report
from bench.gateways import Bare, Gateway, LiteLLM, Portkey, TriForce, Unavailable, fake_upstream
from bench.load import stats_now
from bench.measure import rss_mb, tree
from bench.scenarios import CROWD, DEFAULT, LONG, ONE, PLAIN, QUICK, SCENARIOS, STREAMS, Bench, Profile, Scenario

PEERS = ("litellm", "portkey")
LEAVING_SECONDS = 10.0


def options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", default="triforce,litellm,portkey", help="comma-separated, of triforce, litellm, portkey")
    parser.add_argument("--quick", action="store_true", help="a smoke test: its figures mean nothing")
    parser.add_argument("--long", action="store_true", help="more rounds, and 10,000,000 receipts")
    parser.add_argument("--soak", action="store_true", help="10,000 aborted streams instead of 2,000")
    parser.add_argument("--database-url", default=os.environ.get("DATABASE_URL", ""), help="a PostgreSQL server; default: DATABASE_URL")
    parser.add_argument("--redis-url", default=os.environ.get("REDIS_URL", ""), help="default: REDIS_URL")
    parser.add_argument("--out", default="", help="the folder to write to; default: bench/out")
    return parser.parse_args(arguments)


def say(sentence: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {sentence}", file=sys.stderr, flush=True)


def layout() -> tuple[set[int], set[int]]:
    """The gateway's core, and everybody else's."""
    cores = sorted(os.sched_getaffinity(0))
    return {cores[0]}, set(cores[1:]) or {cores[0]}


def wanted(chosen: argparse.Namespace, core: set[int], upstream: int) -> list[Gateway]:
    """The gateways to measure, ours first."""
    names = {name.strip() for name in chosen.only.split(",")}
    found: list[Gateway] = []
    if "triforce" in names:
        if database.is_postgres(chosen.database_url):
            found.append(TriForce("TriForce, PostgreSQL", core, upstream, database_url=database.own_url(chosen.database_url)))
        found.append(TriForce("TriForce, SQLite", core, upstream))
    if "litellm" in names:
        found.append(LiteLLM("LiteLLM", core, upstream))
    if "portkey" in names:
        found.append(Portkey("Portkey", core, upstream))
    return found


class Run:
    """One run: who takes part, what was measured, what could not be."""

    def __init__(self, bench: Bench, stack: contextlib.ExitStack) -> None:
        self.bench = bench
        self.stack = stack
        self.results: dict[str, dict[str, list[dict[str, Any]]]] = {}
        self.missing: dict[str, str] = {}
        self.extra: dict[str, Any] = {}

    def begin(self, gateways: Iterable[Gateway]) -> list[Gateway]:
        """Those that start and answer rightly."""
        return [gateway for gateway in gateways if self._begins(gateway)]

    def _begins(self, gateway: Gateway) -> bool:
        say(f"{gateway.name}: install, start, warm up")
        self.stack.callback(gateway.stop)
        try:
            gateway.install()
            gateway.start()
            result = self.bench.warm_up(gateway)
            if not result["requests"]:
                raise Unavailable(f"{gateway.name} gave no right answer: {result['errors']}")
        except Unavailable as why:
            say(str(why))
            self.missing[gateway.name] = str(why)
            return False
        return True

    def rounds(self, gateways: list[Gateway]) -> None:
        """Every scenario, round after round, the gateways in turn."""
        for scenario in SCENARIOS:
            table = self.results.setdefault(scenario.name, {})
            for number in range(min(scenario.rounds, self.bench.profile.rounds)):
                say(f"{scenario.name}: round {number + 1}")
                for gateway in gateways:
                    if scenario.name not in gateway.left_out:
                        table.setdefault(gateway.name, []).append(self.bench.measure(scenario, gateway))

    def aborted(self, gateways: list[Gateway], count: int) -> None:
        """Memory of a worker before and after `count` streams whose client left, and how soon the upstream was let go."""
        found = self.extra.setdefault("aborted", {})
        for gateway in gateways:
            if not isinstance(gateway, TriForce):
                count = min(count, 200)  # theirs is not what this row is about, and one takes minutes
            say(f"{gateway.name}: {count} aborted streams")
            self.bench.abort(gateway, max(50, count // 10))  # pools and caches fill once
            self._until_released()  # another gateway may not have noticed yet that its clients are gone
            before = rss_mb(tree(gateway.pids()))
            result = self.bench.abort(gateway, count)
            seconds = self._until_released()
            after = rss_mb(tree(gateway.pids()))
            found[gateway.name] = {
                "count": count,
                "before_mb": before,
                "after_mb": after,
                "errors": result["errors"],
                "released_s": seconds,
            }

    def _until_released(self) -> float | None:
        """Seconds until the fake has no open stream; None where one stays."""
        start = time.monotonic()
        while time.monotonic() - start < LEAVING_SECONDS:
            if stats_now(self.bench.upstream)["open"] == 0:
                return time.monotonic() - start
            time.sleep(0.02)
        return None

    def receipts(self, core: set[int], server_url: str) -> None:
        """What a plain request costs with ever more receipts in the table: a server of its own for each number, in turns."""
        gateways = []
        for count in self.bench.profile.receipts:
            url = database.own_url(server_url, f"_{count}") if database.is_postgres(server_url) else ""
            gateways.append(TriForce(f"{count:,} stored receipts", core, self.bench.upstream, database_url=url))
        started = self.begin(gateways)
        for gateway, count in zip(gateways, self.bench.profile.receipts, strict=True):
            if gateway in started:
                say(f"{gateway.name}: fill")
                database.fill(gateway.database_url, count)
        self.extra["receipts"] = self._in_turns(started, (PLAIN,))

    def _in_turns(self, gateways: Sequence[Gateway], scenarios: Sequence[Scenario]) -> dict[str, dict[str, list[dict[str, Any]]]]:
        table: dict[str, dict[str, list[dict[str, Any]]]] = {gateway.name: {one.name: [] for one in scenarios} for gateway in gateways}
        for _ in range(self.bench.profile.rounds):
            for scenario in scenarios:
                for gateway in gateways:
                    table[gateway.name][scenario.name].append(self.bench.measure(scenario, gateway))
        return table

    def workers(self, chosen: argparse.Namespace, upstream: int) -> None:
        """Two workers against one, sharing all cores with everything else where there are only two."""
        cores = os.sched_getaffinity(0)
        urls = [database.own_url(chosen.database_url, f"_{number}") for number in (1, 2)]
        pair: list[Gateway] = [
            TriForce(
                f"{number} worker{'s' * (number > 1)}", set(cores), upstream, database_url=url, workers=number, redis_url=chosen.redis_url
            )
            for number, url in zip((1, 2), urls, strict=True)
        ]
        shared = Run(replace(self.bench, cores=set(cores)), self.stack)
        started = shared.begin(pair)
        self.missing |= shared.missing
        self.extra["workers"] = shared._in_turns(started, (PLAIN, STREAMS))


def other_wire(ours: TriForce) -> TriForce:
    """The same server, asked for Ollama's models."""
    other = copy.copy(ours)
    other.name, other.prefix = f"{ours.name}, Ollama's wire", "ollama/"
    other.left_out = (ONE.name, CROWD.name)
    return other


def profile_of(chosen: argparse.Namespace) -> Profile:
    profile = QUICK if chosen.quick else LONG if chosen.long else DEFAULT
    return replace(profile, aborts=10_000) if chosen.soak else profile


def main(arguments: list[str] | None = None) -> int:
    chosen = options(sys.argv[1:] if arguments is None else arguments)
    profile = profile_of(chosen)
    core, others = layout()
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        upstream, pid = stack.enter_context(fake_upstream(others))
        run = Run(Bench(profile, others, upstream, pid), stack)
        bare = Bare("bare upstream", others, upstream)
        bare.start()
        stack.callback(bare.stop)
        started = run.begin(wanted(chosen, core, upstream))
        ours = [gateway for gateway in started if isinstance(gateway, TriForce)]
        run.rounds([bare, *started, *map(other_wire, ours[:1])])
        run.aborted(started, profile.aborts)
        if ours:
            run.receipts(core, chosen.database_url)
            run.extra["meter"] = {one.name: database.meter(one.database_url) for one in ours}
        if ours and profile.workers and database.is_postgres(chosen.database_url) and chosen.redis_url:
            run.workers(chosen, upstream)
        elif ours:
            run.missing["two workers"] = "needs DATABASE_URL (PostgreSQL) and REDIS_URL, and is left out of --quick"
        record = report.record(run.results, run.extra, run.missing, started, profile.name, time.monotonic() - began, chosen.database_url)
    text = report.render(record)
    print(text)
    print(f"Written to {report.write(record, text, chosen.out)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
