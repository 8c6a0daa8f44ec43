"""The benchmark itself: that it runs and brings figures. Nothing here looks at how fast anything is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.measure import cpu_seconds, median, percentile, rss_mb, tree
from bench.report import goal, grid
from bench.upstream import openai_stream

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    command = [
        sys.executable,
        "-m",
        "bench",
        "--quick",
        "--only",
        "triforce",
        "--database-url",
        "",
        "--redis-url",
        "",
        "--out",
        str(folder),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / "latest.json").read_text()) | {"text": done.stdout}


def test_it_measures_every_row_it_can(record):
    ours = {title: row["TriForce, SQLite"] for title, row in record["table"].items()}
    unknown = {title for title, value in ours.items() if value is None}
    assert unknown == {"PostgreSQL CPU ms a request"}
    assert ours["errors in all"] == 0


def test_it_prints_the_table_with_the_goals(record):
    assert "| plain requests/s at 16" in record["text"]
    assert "| CPU ms a 1,000 paced chunks" in record["text"]
    assert "needs DATABASE_URL" in record["text"]


def test_it_leaves_a_settled_meter(record):
    meter = record["meter"]["TriForce, SQLite"]
    assert meter["receipts"] > 100
    assert (meter["open"], meter["held"]) == (0, 0)
    assert meter["charged"] > 0


def test_it_tells_percentiles_and_medians():
    assert percentile([3.0, 1.0, 2.0, 4.0], 0.5) == 2.0
    assert percentile(list(range(1, 101)), 0.99) == 99
    assert median([1.0, float("nan"), 3.0]) == 2.0


def test_it_reads_a_process_from_proc():
    child = subprocess.Popen([sys.executable, "-c", "print(1, flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        child.stdout.read(1)  # it is Python by now, and no copy of us any more
        assert child.pid in tree([os.getpid()])
        assert rss_mb([child.pid]) > 1
        assert cpu_seconds([os.getpid()]) > 0
    finally:
        child.communicate(b"\n")
    assert cpu_seconds([child.pid]) == 0


def test_it_judges_a_goal_from_either_side():
    assert goal("cpu", 1.0, 0.9, 1.3)["verdict"] == "at least"
    assert goal("ratio", 8.0, 7, 5)["verdict"] == "ambitious"
    assert goal("ratio", 4.0, 7, 5)["verdict"] == "missed"
    assert goal("ratio", float("nan"), 7, 5)["verdict"] == "not measured"


def test_it_aligns_a_table():
    assert grid(["", "a"], [["one", "10"]]).splitlines() == ["|     |  a |", "|-----|---:|", "| one | 10 |"]


def test_the_fake_sends_one_event_a_token():
    begin, token, end = openai_stream("bench-3-0", 3)
    assert (begin + token * 3 + end).count(b'"content":"zeta "') == 3
    assert end.endswith(b"[DONE]\n\n\r\n0\r\n\r\n")
