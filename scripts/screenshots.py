"""Takes the pictures of docs/screenshots anew: `.venv/bin/python scripts/screenshots.py`. Needs Debian's chromium.

A server of its own with a scripted provider, a person, a few chats; nothing of it is kept.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Browser, Page  # noqa: E402

from tests.browser import chromium  # noqa: E402
from tests.fakes.upstream import Answer, FakeUpstream  # noqa: E402

TARGET = ROOT / "docs/screenshots"
EMAIL, PASSWORD = "ursula@example.org", "Honig-und-Lachs-8"
ANSWER = """Docker packt ein Programm mit allem, was es braucht, in einen **Container**.

| | Container | virtuelle Maschine |
|---|---|---|
| startet in | Sekunden | Minuten |
| bringt mit | das Programm | ein ganzes System |

```bash
docker run --rm hello-world
```

Kurz: Die Höhle ist überall dieselbe, nur der Wald drumherum wechselt."""
SHORT = {"120b": "Ein Container teilt sich den Kern des Systems mit allen anderen, deshalb ist er klein und schnell da.",
         "20b": "Ein Programm samt Zubehör in einer Kiste, die überall gleich aufgeht."}  # fmt: skip


class Server:
    """TriForce on a folder of its own, asking the scripted provider."""

    def __init__(self, folder: str, upstream: str, port: int = 9590) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.env = {**os.environ, "DEBUG": "on", "VAR_DIR": folder, "PORT": str(port), "OLLAMA_BASE_URL": upstream, "LOCAL_MODEL": "off"}
        for name in ("DATABASE_URL", "REDIS_URL"):
            self.env.pop(name, None)
        self.command(
            "shell", "-v0", "-c", f"from accounts.models import User; User.objects.create_user('{EMAIL}', '{PASSWORD}')", first="migrate"
        )
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--prepare", "--port", str(port)], cwd=ROOT, env=self.env, stdout=subprocess.DEVNULL
        )
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/readyz", timeout=2)
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)

    def command(self, *words: str, first: str = "") -> None:
        for one in ([first, "-v0"], words) if first else (words,):
            subprocess.run([sys.executable, "manage.py", *one], cwd=ROOT, env=self.env, check=True, stdout=subprocess.DEVNULL)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


def page_of(browser: Browser, url: str, width: int, scheme: Literal["dark", "light"], signed_in: bool = True) -> Page:
    height = 800 if width > 600 else 844
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, locale="de", base_url=url, reduced_motion="reduce"
    )
    page = context.new_page()
    if signed_in:
        page.goto("/accounts/login/")
        page.locator("#id_login").fill(EMAIL)
        page.locator("#id_password").fill(PASSWORD)
        page.locator("form button[type=submit]").first.click()
        page.wait_for_url("**/dashboard")
    return page


def ask(page: Page, words: str) -> None:
    page.locator("#composer textarea").fill(words)
    page.keyboard.press("Enter")
    page.locator(".answer-foot .figures").last.wait_for()


def shoot(page: Page, name: str) -> None:
    page.wait_for_timeout(400)
    page.screenshot(path=TARGET / f"{name}.png")


def compare(page: Page) -> None:
    page.goto("/chat")
    page.locator(".model-button").click()
    for size in SHORT:
        page.locator(f"dialog input[value='ollama/gpt-oss:{size}-cloud']").check()
    page.locator("dialog .picker-foot button").click()
    ask(page, "Was ist ein Container, in einem Satz?")


def main() -> None:
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, FakeUpstream() as upstream, chromium() as browser:
        upstream.always(Answer(ANSWER, usage=(42, 160)))
        for size, words in SHORT.items():
            upstream.always(Answer(words, usage=(40, 24)), model=f"gpt-oss:{size}-cloud")
        server = Server(folder, upstream.url)
        try:
            looks: tuple[tuple[int, Literal["dark", "light"]], ...] = ((1280, "light"), (390, "dark"))
            for width, scheme in looks:
                page = page_of(browser, server.url, width, scheme)
                page.goto("/chat")
                shoot(page, f"welcome-{width}-{scheme}")
                ask(page, "Erkläre mir Docker")
                shoot(page, f"chat-{width}-{scheme}")
                compare(page)
                shoot(page, f"compare-{width}-{scheme}")
                for name, path in (("dashboard", "/dashboard"), ("models", "/models"), ("prices", "/prices")):
                    page.goto(path)
                    shoot(page, f"{name}-{width}-{scheme}")
        finally:
            server.stop()


if __name__ == "__main__":
    main()
