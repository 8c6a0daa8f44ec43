"""The payment simulator as a process of its own, and a hand on it: `with Simulator(tmp_path) as stripe_fake:`.

stripe_fake.url, stripe_fake.key, stripe_fake.webhook_secret    # what settings.STRIPE_… are set to
stripe_fake.webhook(f"{live.url}/stripe/webhook/{uuid}/")        # where its events go
stripe_fake.complete_checkout(session.url, card=CARD_OK)         # what the person does on the page
stripe_fake.move_clock(months=1)                                 # renewals, retries, ends
stripe_fake.hold(); …; stripe_fake.release(ids=[…], concurrent=True)
stripe_fake.fail_next("500", count=2)
stripe_fake.settle()                                             # until every webhook is delivered
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk_test_simulatedKeyOfTheTests0123456789"
WEBHOOK_SECRET = "whsec_simulatedSecretOfTheTests0123456789"
CARD_OK = "4242424242424242"
CARD_DECLINED = "4000000000000002"
CARD_CONFIRM = "4000002500003155"
CARD_FAILS_LATER = "4000000000000341"
CARD_NO_FUNDS = "4000000000009995"
CARD_EXPIRES_SOON = "4000056655665556"


class Simulator:
    """A running simulator on a free port, its state in `folder`. Arguments go to the program."""

    key, webhook_secret = KEY, WEBHOOK_SECRET

    def __init__(self, folder: Path, *arguments: str, retry_seconds: float = 0.05) -> None:
        self.folder = folder
        self.arguments = [*arguments, "--webhook-secret", WEBHOOK_SECRET, "--retry-seconds", str(retry_seconds)]

    def __enter__(self) -> Simulator:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, port: int = 0) -> None:
        """Start it, with what it remembered before."""
        command = [sys.executable, "-m", "billing.simulator", "--port", str(port), "--state", str(self.folder / "simulator.sqlite3")]
        self.process = subprocess.Popen(
            [*command, "--child", *self.arguments],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"]},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert "listens on" in line, line
        self.url = line.split("listens on ")[1].split(" ")[0].strip()
        self.http = httpx.Client(base_url=self.url, timeout=30)

    def stop(self) -> None:
        self.http.close()
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    # -- the control API ------------------------------------------------------------------------------------------------------

    def control(self, action: str, **given: Any) -> Any:
        """POST /simulator/{action}."""
        answer = self.http.post(f"/simulator/{action}", json=given)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def now(self) -> int:
        """Its time, in Unix seconds."""
        return int(self.http.get("/simulator/state").json()["now"])

    def move_clock(self, *, seconds: int = 0, days: int = 0, months: int = 0, past_period_end: bool | str = False) -> int:
        """Let time pass; everything that falls due happens. Returns the new time."""
        given = {"past_period_end": past_period_end} if past_period_end else {"seconds": seconds, "days": days, "months": months}
        return int(self.control("clock", **given)["now"])

    def webhook(self, url: str, secret: str = WEBHOOK_SECRET) -> str:
        """Send all events to `url` from now on. Returns the endpoint's id."""
        return str(self.control("webhook", url=url, secret=secret)["id"])

    def mode(self, mode: str, delay: float = 0) -> None:
        """normal, hold, drop, duplicate, reorder, delay, concurrent."""
        self.control("mode", mode=mode, delay=delay)

    def hold(self) -> None:
        """Keep events back until release()."""
        self.mode("hold")

    def release(self, ids: list[str] | None = None, *, concurrent: bool = False) -> None:
        """Send what is held and deliver normally again; or only these deliveries, in this order, an id as often as it is named."""
        self.control("release", ids=ids, concurrent=concurrent)

    def deliveries(self, state: str | None = None) -> list[dict[str, Any]]:
        """Every delivery, oldest first: {id, event, type, endpoint, url, state, attempts}."""
        return list(self.http.get("/simulator/deliveries", params={"state": state} if state else {}).json())

    def settle(self, seconds: float = 20) -> None:
        """Return when nothing waits to be delivered. What is held or dropped does not wait."""
        assert self.control("settle", seconds=seconds)["settled"], self.deliveries()[-5:]

    def fail_next(self, kind: str, count: int = 1, seconds: float = 1) -> None:
        """The next API calls fail: 500, 429, timeout (after `seconds`), reset, reset_after (done, but the answer is lost)."""
        self.control("faults", kind=kind, count=count, seconds=seconds)

    def next_charges(self, *outcomes: str) -> None:
        """succeeded, declined, insufficient_funds, expired_card, authentication_required: of charges without the customer."""
        self.control("charges", outcomes=outcomes)

    # -- what a person does ---------------------------------------------------------------------------------------------------

    def complete_checkout(self, url: str, card: str = CARD_OK, *, confirm: bool = True, **fields: str) -> httpx.Response:
        """Fill in the checkout's form and order; answers the bank's question with yes. The last answer: 303 to the success page."""
        given = {"number": card, "expiry": "12/34", "cvc": "123", "name": "Alice", "country": "DE", "email": "alice@example.org"} | fields
        answer = self.http.post(url, data={**given, "action": "pay"})
        if answer.status_code == 200 and 'value="confirm"' in answer.text:
            answer = self.http.post(url, data={"action": "confirm" if confirm else "refuse"})
        return answer

    def portal(self, url: str, action: str, **fields: str) -> httpx.Response:
        """Press a button of the portal: update (price=…), keep, cancel, resume, card (number=…). 303 where it worked."""
        card = {"expiry": "12/34", "cvc": "123"} if action == "card" else {}
        return self.http.post(url, data={"action": action, **card, **fields})

    def pay_invoice(self, url: str, card: str = CARD_OK) -> httpx.Response:
        """Pay an open invoice on its hosted page."""
        return self.http.post(url, data={"action": "pay", "number": card, "expiry": "12/34", "cvc": "123"})


def query(url: str) -> dict[str, str]:
    """The parameters of an address that a page led to."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
