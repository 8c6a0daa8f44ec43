"""`make test`: every test on SQLite, and again on PostgreSQL and Redis where DATABASE_URL and REDIS_URL are given.

STRICT=1 fails where anything was skipped. The last line is the sum: "N passed, N failed, N skipped".
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

SWITCHES = ("DATABASE_URL", "REDIS_URL")
# What depends on no database is enough once: how pages look (tests/test_whole_story.py uses them on both), wires, the payment simulator.
ONCE = (
    "tests/test_admin_browser.py", "tests/test_bench.py", "tests/test_browser.py", "tests/test_chat_page.py", "tests/test_fakes.py",
    "tests/test_layers.py", "tests/test_local_model.py", "tests/test_p29_streams.py", "tests/test_settings.py", "tests/test_simulator_*.py",
    "tests/test_social.py", "tests/test_static.py", "tests/test_translations.py", "tests/test_transport.py", "tests/test_wire_*.py",
)  # fmt: skip


@dataclass
class Sum:
    passed: int = 0
    failed: int = 0
    skipped: list[str] = field(default_factory=list)

    def add(self, report: Path) -> None:
        """Add what one round's report says; a round without one has failed."""
        if not report.exists():
            self.failed += 1
            return
        for case in ElementTree.parse(report).iter("testcase"):
            name = f"{case.get('classname')}::{case.get('name')}"
            if (skip := case.find("skipped")) is not None:
                self.skipped.append(f"{name}: {skip.get('message')}")
            elif case.find("failure") is not None or case.find("error") is not None:
                self.failed += 1
            else:
                self.passed += 1


def run(title: str, environment: dict[str, str], total: Sum, *options: str) -> None:
    """One round of pytest; the arguments of this script go to it."""
    print(f"\n== Tests on {title}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        done = subprocess.run([sys.executable, "-m", "pytest", f"--junitxml={report}", *options, *sys.argv[1:]], env=environment)
        before = total.failed
        total.add(report)
        if done.returncode and total.failed == before:
            total.failed += 1  # pytest itself failed


def main() -> int:
    total = Sum()
    without = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    run("SQLite, one process", without, total)
    if all(os.environ.get(name) for name in SWITCHES):
        run("PostgreSQL and Redis", dict(os.environ), total, *(f"--ignore-glob={name}" for name in ONCE))
    else:
        total.skipped.append("PostgreSQL and Redis: give DATABASE_URL and REDIS_URL")
    print("\n== Skipped" if total.skipped else "\n== Nothing was skipped")
    for line in total.skipped:
        print(line)
    print(f"\n{total.passed} passed, {total.failed} failed, {len(total.skipped)} skipped", flush=True)
    return 1 if total.failed or (total.skipped and os.environ.get("STRICT")) else 0


if __name__ == "__main__":
    sys.exit(main())
