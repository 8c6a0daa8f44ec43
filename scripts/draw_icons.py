"""Draw the icons of the installed app from brumo.svg: `python -m scripts.draw_icons`. Needs Debian's chromium and Playwright."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

STATIC = Path(__file__).resolve().parent.parent / "triforce/static/triforce"
GROUND = '<rect width="64" height="64" rx="15" fill="#fcefd6"/>'
SAFE = 0.8  # what lies within this part of the side is never cut off by a platform's mask
# name: side in pixels, whether the ground reaches into the corners because the platform cuts them itself
ICONS = {"icon-192": (192, False), "icon-512": (512, False), "icon-mask-512": (512, True), "icon-touch-180": (180, True)}


def drawing(is_full: bool) -> str:
    """The bear as SVG; on a full ground he stands within the safe part."""
    svg = (STATIC / "brumo.svg").read_text()
    if not is_full:
        return svg
    bear = re.sub(r"</?svg[^>]*>", "", svg).replace(GROUND, "")
    edge = 64 * (1 - SAFE) / 2
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64"><rect width="64" height="64" fill="#fcefd6"/>'
        f'<g transform="translate({edge} {edge}) scale({SAFE})">{bear}</g></svg>'
    )


def main() -> None:
    (STATIC / "icons").mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        for name, (side, is_full) in ICONS.items():
            page = browser.new_page(viewport={"width": side, "height": side})
            svg = drawing(is_full).replace("<svg ", f'<svg width="{side}" height="{side}" ', 1)
            page.set_content(f'<body style="margin:0;line-height:0">{svg}</body>')
            page.screenshot(path=STATIC / f"icons/{name}.png", omit_background=True)
        browser.close()


if __name__ == "__main__":
    main()
