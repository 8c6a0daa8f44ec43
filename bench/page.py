"""`python -m bench.page`: the chat page in a real Chromium, served as in production.

First load and when it can be used, scrolling through 2,000 turns, and whether 100 tokens a second are drawn as they come.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page

from bench.gateways import EMAIL, ROOT, TriForce, fake_upstream
from bench.measure import percentile
from bench.run import layout
from tests.browser import chromium

TURNS = 2000
ROUNDS = 7
STREAM = "openai/bench-1000-10"  # 1,000 tokens, one every 10 ms

# Notes when the composer can be used and the line is open, and which words came and were drawn.
WATCH = """
window.seen = {usable: 0, came: [], late: [], long: 0};
const watch = (type, take) => new PerformanceObserver(list => list.getEntries().forEach(take)).observe({type, buffered: true});
watch("longtask", entry => { seen.long += Math.max(0, entry.duration - 50); });
watch("largest-contentful-paint", entry => { seen.lcp = entry.startTime; });
const Stock = window.WebSocket;
window.WebSocket = class extends Stock {
  constructor(...words) {
    super(...words);
    this.addEventListener("message", ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.type === "ready") seen.usable ||= performance.now();
      if (frame.type === "delta") for (const _ of frame.text.matchAll(/zeta/g)) seen.came.push(performance.now());
    });
  }
};
const count = () => {
  const text = document.querySelector(".answer-text")?.textContent ?? "";
  const drawn = text.split("zeta").length - 1;
  if (drawn < seen.came.length) seen.late.push(performance.now() - seen.came[drawn]); else if (drawn) seen.late.push(0);
  requestAnimationFrame(count);
};
requestAnimationFrame(count);
"""

SCROLL = """async () => {
  const content = document.querySelector("#content"), frames = [];
  let last = performance.now();
  for (let step = 0; step < 240; step++) {
    content.scrollTop -= 120;
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - last);
    last = now;
  }
  return frames;
}"""


class Production(TriForce):
    """Ours with its files collected, and STREAM the model of whoever names none."""

    def env(self) -> dict[str, str]:
        return super().env() | {"DEFAULT_MODEL": STREAM}

    def install(self) -> None:
        super().install()
        subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), "collectstatic", "--no-input", "-v0"], env=self.env(), check=True, cwd=ROOT
        )


@contextmanager
def page_of(browser: Browser, gateway: TriForce, signed_in: bool = False) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en", base_url=f"http://127.0.0.1:{gateway.port}")
    page = context.new_page()
    if signed_in:
        page.goto("/accounts/login/")
        page.locator("#id_login").fill(EMAIL)
        page.locator("#id_password").fill(gateway.env()["DJANGO_SUPERUSER_PASSWORD"])
        page.locator("main form button").first.click()
        page.wait_for_url("**/dashboard")
    page.add_init_script(WATCH)
    yield page
    context.close()


def first_load(browser: Browser, gateway: TriForce) -> str:
    """What a newcomer waits for, and again with a filled cache. Milliseconds from the navigation on."""
    cold, warm, sizes = [], [], []
    for _ in range(ROUNDS):
        with page_of(browser, gateway) as page:
            for times in (cold, warm):
                page.goto("/chat")
                page.wait_for_function("() => seen.usable && document.querySelector('#composer textarea')")
                page.wait_for_timeout(300)
                times.append(page.evaluate(
                    "({usable: seen.usable, lcp: seen.lcp, long: seen.long, "
                    "fcp: performance.getEntriesByName('first-contentful-paint')[0].startTime})"
                ))  # fmt: skip
                if times is cold:
                    sizes.append(page.evaluate(
                        "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
                        ".reduce((sum, entry) => sum + entry.transferSize, 0)"
                    ))  # fmt: skip

    def line(name: str, times: list[dict[str, float]]) -> str:
        middle = {key: statistics.median(one[key] for one in times) for key in times[0]}
        return (
            f"{name}: first paint {middle['fcp']:.0f} ms, largest {middle['lcp']:.0f} ms, usable {middle['usable']:.0f} ms, "
            f"blocked by long tasks {middle['long']:.0f} ms"
        )

    return f"{line('first load', cold)}, {statistics.median(sizes) / 1000:.0f} kB\n{line('again', warm)}"


def scrolled(browser: Browser, gateway: TriForce) -> str:
    """Frame times while a long conversation is scrolled upwards by 120 px a frame."""
    name = import_turns(gateway)
    with page_of(browser, gateway, signed_in=True) as page:
        page.goto(f"/chat/{name}")
        page.get_by_text(f"question {TURNS - 1}", exact=True).wait_for()
        shown = page.evaluate("performance.now()")
        page.wait_for_timeout(500)
        frames = page.evaluate(SCROLL)
        nodes = page.locator(".turn").count()
    slow = sum(frame > 50 for frame in frames)
    return (
        f"{TURNS} turns: shown after {shown:.0f} ms, {nodes} of them in the page; scrolling {len(frames)} frames: "
        f"{percentile(frames, 0.5):.1f} / {percentile(frames, 0.95):.1f} ms (p50 / p95), {slow} over 50 ms"
    )


def import_turns(gateway: TriForce) -> str:
    """A conversation of TURNS turns; its id."""
    ids = [str(uuid.uuid4()) for _ in range(TURNS)]
    turns = [
        {
            "id": own, "parent": parent, "prompt": f"question {number}", "state": "done", "model": STREAM,
            "answer": f"Answer {number}.\n\n- one **point**\n- another\n\n```python\nprint({number})\n```\n",
        }
        for number, (parent, own) in enumerate(zip([None, *ids], ids, strict=False))
    ]  # fmt: skip
    body = {"format": "triforce-conversations", "version": 1, "conversations": [{"title": "Long", "leaf": ids[-1], "turns": turns}]}
    url = f"http://127.0.0.1:{gateway.port}/v1/conversations/import"
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json", **gateway.headers})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return str(json.load(answer)["conversations"][0])


def streamed(browser: Browser, gateway: TriForce) -> str:
    """How far what is drawn is behind what came, at 100 tokens a second for ten seconds."""
    with page_of(browser, gateway, signed_in=True) as page:
        page.goto("/chat")
        page.wait_for_function("() => seen.usable")
        page.locator("#composer textarea").fill("Go")
        page.keyboard.press("Enter")
        page.wait_for_function("() => seen.came.length >= 1000", timeout=30_000)
        page.locator(".answer.running").wait_for(state="detached")
        seen = page.evaluate("seen")
    took = (seen["came"][-1] - seen["came"][0]) / 1000
    late = seen["late"]
    return (
        f"{len(seen['came'])} tokens in {took:.1f} s; drawn behind what came by {percentile(late, 0.5):.0f} / "
        f"{percentile(late, 0.99):.0f} / {max(late):.0f} ms (p50 / p99 / most) over {len(late)} frames"
    )


def main() -> int:
    own, others = layout()
    with fake_upstream(others) as (upstream, _process):
        gateway = Production("TriForce", own, upstream)
        try:
            gateway.install()
            gateway.start()
            with chromium() as browser:
                for measured in (first_load, scrolled, streamed):
                    print(measured(browser, gateway), flush=True)
        finally:
            gateway.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
