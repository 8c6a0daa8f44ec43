"""The figures as tables of text, and as JSON under bench/out/."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from bench import database
from bench.gateways import ROOT, Gateway
from bench.measure import median
from bench.scenarios import CROWD, ONE, PACED, PLAIN, STREAMS

Round = dict[str, Any]
BARE = "bare upstream"
NAN = float("nan")


def per_request(name: str) -> Callable[[Round], float]:
    def of(one: Round) -> float:
        return one["cpu"][name] * 1000 / one["requests"] if one["requests"] and one["cpu"][name] else NAN

    return of


def per_1000_chunks(one: Round) -> float:
    return one["cpu"]["gateway"] * 1e6 / one["chunks"] if one["chunks"] and one["cpu"]["gateway"] else NAN


def key(name: str) -> Callable[[Round], float]:
    return lambda one: one[name]


# name, scenario, figure of a round, whether the bare upstream's is taken off
ROWS: tuple[tuple[str, str, Callable[[Round], float], bool], ...] = (
    ("added p50, one at a time, ms", ONE.name, key("p50_ms"), True),
    ("added p99, one at a time, ms", ONE.name, key("p99_ms"), True),
    ("plain requests/s at 16", PLAIN.name, key("per_second"), False),
    ("p99 at 16, ms", PLAIN.name, key("p99_ms"), False),
    ("CPU ms a plain request", PLAIN.name, per_request("gateway"), False),
    ("PostgreSQL CPU ms a request", PLAIN.name, per_request("database"), False),
    ("streams/s at 16, 100 tokens", STREAMS.name, key("per_second"), False),
    ("CPU ms a stream of 100 tokens", STREAMS.name, per_request("gateway"), False),
    ("CPU ms a 1,000 paced chunks", PACED.name, per_1000_chunks, False),
    ("chunks/s, 100 streams at 10 ms", PACED.name, lambda one: one["chunks"] / one["seconds"], False),
    ("500 streams: TTFT p50, ms", CROWD.name, key("ttft_p50_ms"), False),
    ("500 streams: TTFT p99, ms", CROWD.name, key("ttft_p99_ms"), False),
    ("500 streams: chunks/s", CROWD.name, lambda one: one["chunks"] / one["seconds"], False),
    ("cores busy with other work", "", key("others"), False),
    ("errors in all", "", lambda one: sum(one["errors"].values()), False),
)


def record(
    results: Mapping[str, Mapping[str, list[Round]]],
    extra: dict[str, Any],
    missing: dict[str, str],
    gateways: Iterable[Gateway],
    profile: str,
    seconds: float,
    database_url: str,
) -> dict[str, Any]:
    """Everything there is to know of a run: the machine, the versions, the medians, the rounds themselves."""
    names = list(dict.fromkeys(name for rounds in results.values() for name in rounds))
    table = {row[0]: {name: figure(results, name, row) for name in names} for row in ROWS}
    table |= memory_rows(extra, names)
    found = {
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "profile": profile,
        "seconds": round(seconds),
        "machine": machine(database_url),
        "versions": {gateway.name: gateway.version for gateway in gateways},
        "missing": missing,
        "table": table,
        "receipts": receipt_rows(extra.get("receipts", {})),
        "workers": worker_rows(extra.get("workers", {})),
        "meter": extra.get("meter", {}),
        "rounds": results,
        "extra": extra,
    }
    return found | {"goals": goals(found)}


def figure(results: Mapping[str, Mapping[str, list[Round]]], name: str, row: tuple[str, str, Callable[[Round], float], bool]) -> float:
    """The median of a row over the rounds of one gateway."""
    title, scenario, of, added = row
    if not scenario:
        values = [of(one) for rounds in results.values() for one in rounds.get(name, ())]
        return sum(values) if title == "errors in all" else median(values)
    value = median(map(of, results[scenario].get(name, ())))
    return value - median(map(of, results[scenario][BARE])) if added else value


def memory_rows(extra: Mapping[str, Any], names: Iterable[str]) -> dict[str, dict[str, float]]:
    aborted = extra.get("aborted", {})
    count = next(iter(aborted.values()), {}).get("count", 0)
    columns = {
        "memory, MB": "before_mb",
        f"memory after {count:,} aborted streams, MB": "after_mb",
        "s until upstream let go": "released_s",
    }
    return {title: {name: _number(aborted.get(name, {}).get(column)) for name in names} for title, column in columns.items()}


def _number(value: float | None) -> float:
    return NAN if value is None else value


def receipt_rows(measured: Mapping[str, Mapping[str, list[Round]]]) -> dict[str, dict[str, float]]:
    of = {
        "CPU ms": per_request("gateway"),
        "PostgreSQL CPU ms": per_request("database"),
        "req/s": key("per_second"),
        "p50 ms": key("p50_ms"),
    }
    return {title: {name: median(map(how, kinds[PLAIN.name])) for name, how in of.items()} for title, kinds in measured.items()}


def worker_rows(measured: Mapping[str, Mapping[str, list[Round]]]) -> dict[str, dict[str, float]]:
    return {name: {what: median(map(key("per_second"), rounds)) for what, rounds in kinds.items()} for name, kinds in measured.items()}


def machine(database_url: str) -> dict[str, str]:
    cpu = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in cpu if line.startswith("model name")), platform.machine())
    found = {
        "cores": f"{len(os.sched_getaffinity(0))} × {model}",
        "load before": f"{os.getloadavg()[2]:.2f} (15 min)",
        "Python": platform.python_version(),
    }
    found |= {name: version(name) for name in ("django", "uvicorn", "aiohttp", "uvloop")}
    return found | ({"PostgreSQL": database.version(database_url)} if database.is_postgres(database_url) else {})


def goals(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each goal with what was measured for our first gateway. `low` goals are reached from below."""
    table: Mapping[str, Mapping[str, float]] = found["table"]
    ours = next((name for name in table[ROWS[0][0]] if name.startswith("TriForce")), None)
    if ours is None:
        return []

    def own(row: str) -> float:
        return table[row][ours]

    def ratio(row: str, peer: str) -> float:
        other = table[row].get(peer, NAN)
        return own(row) / other if other else NAN

    memory = [row for row in table if row.startswith("memory after")]
    wanted = [
        ("CPU ms a plain request", own("CPU ms a plain request"), 0.9, 1.3),
        ("PostgreSQL CPU ms a request", own("PostgreSQL CPU ms a request"), 0.5, 0.8),
        ("plain requests/s, × LiteLLM", ratio("plain requests/s at 16", "LiteLLM"), 7, 5),
        ("plain requests/s, × Portkey", ratio("plain requests/s at 16", "Portkey"), 1.3, 1.0),
        ("streams/s, × LiteLLM", ratio("streams/s at 16, 100 tokens", "LiteLLM"), 40, 25),
        ("streams/s, × Portkey", ratio("streams/s at 16, 100 tokens", "Portkey"), 2, 1.5),
        ("CPU ms a 1,000 paced chunks", own("CPU ms a 1,000 paced chunks"), 50, 60),
        ("added p50, one at a time, ms", own("added p50, one at a time, ms"), 1.8, 3),
        ("500 streams: TTFT p99, ms", own("500 streams: TTFT p99, ms"), 25, 130),
        ("memory after aborted streams, MB", own(memory[0]), 120, 180),
    ]
    workers = list(found["workers"].values())
    if len(workers) == 2 and workers[0]:
        wanted.append(("two workers, × one (plain)", workers[1][PLAIN.name] / workers[0][PLAIN.name], 1.8, 1.6))
    costs = [row["CPU ms"] for row in found["receipts"].values()]
    if len(costs) > 1:
        wanted.append(("CPU a request, most × fewest receipts", costs[-1] / costs[0], 1.1, 1.2))
    return [goal(*one) for one in wanted]


def goal(name: str, value: float, ambitious: float, least: float) -> dict[str, Any]:
    def reached(bound: float) -> bool:
        return value >= bound if ambitious > least else value <= bound

    verdict = "not measured" if value != value else "ambitious" if reached(ambitious) else "at least" if reached(least) else "missed"
    return {"goal": name, "measured": value, "ambitious": ambitious, "at least": least, "verdict": verdict}


def render(found: Mapping[str, Any]) -> str:
    """All of it as text, in tables that Markdown shows too."""
    machine_line = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    versions = ", ".join(f"{name} {value}" for name, value in found["versions"].items())
    names = list(found["table"][ROWS[0][0]])
    parts = [
        f"{found['when']}, profile {found['profile']}, {found['seconds']} s. {machine_line}.\n{versions}.",
        grid(["", *names], [[title, *(number(row[name]) for name in names)] for title, row in found["table"].items()]),
    ]
    if found["goals"]:
        head = list(found["goals"][0])
        parts.append(grid(head, [[cell if isinstance(cell, str) else number(cell) for cell in row.values()] for row in found["goals"]]))
    for title, rows in (("a plain request with", found["receipts"]), ("requests or streams a second", found["workers"])):
        if rows:
            columns = list(next(iter(rows.values())))
            parts.append(grid([title, *columns], [[name, *(number(row[one]) for one in columns)] for name, row in rows.items()]))
    parts += [
        f"The meter of {name}: {', '.join(f'{value:,} {what}' for what, value in row.items())}." for name, row in found["meter"].items()
    ]
    parts += [f"Not measured: {name} ({why})." for name, why in found["missing"].items()]
    return "\n\n".join(parts) + "\n"


def number(value: float) -> str:
    if value != value:
        return "–"
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def grid(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table with aligned columns."""
    widths = [max(len(row[place]) for row in [head, *rows]) for place in range(len(head))]

    def line(cells: list[str]) -> str:
        aligned = [cell.rjust(width) if place else cell.ljust(width) for place, (cell, width) in enumerate(zip(cells, widths, strict=True))]
        return "| " + " | ".join(aligned) + " |"

    rule = "|" + "|".join("-" * (width + 1) + (":" if place else "-") for place, width in enumerate(widths)) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])


def write(found: Mapping[str, Any], text: str, folder: str = "") -> Path:
    """latest.json and latest.md in `folder`, by default bench/out."""
    place = Path(folder) if folder else ROOT / "bench" / "out"
    place.mkdir(parents=True, exist_ok=True)
    (place / "latest.json").write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS))
    (place / "latest.md").write_text(text)
    return place / "latest.md"
