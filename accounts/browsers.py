"""A browser in short words, for those who look over sessions: what it calls itself is long and says little."""

from __future__ import annotations

from django.utils.translation import gettext as _

# the first that is found holds: most of them call themselves several names
BROWSERS = {
    "Edg": "Edge", "OPR": "Opera", "Vivaldi": "Vivaldi", "SamsungBrowser": "Samsung Internet", "Firefox": "Firefox", "FxiOS": "Firefox",
    "CriOS": "Chrome", "HeadlessChrome": "Chrome", "Chrome": "Chrome", "Safari": "Safari", "curl": "curl", "python": "Python",
}  # fmt: skip
SYSTEMS = {
    "iPhone": "iPhone", "iPad": "iPad", "Android": "Android", "CrOS": "ChromeOS", "Windows": "Windows", "Mac OS X": "macOS",
    "Macintosh": "macOS", "Linux": "Linux",
}  # fmt: skip
LONGEST = 40


def browser_of(user_agent: str) -> str:
    """Like "Firefox on Linux"; what is not known stays as it calls itself, cut."""
    browser, system = (next((name for mark, name in marks.items() if mark in user_agent), "") for marks in (BROWSERS, SYSTEMS))
    if browser and system:
        return _("%(browser)s on %(system)s") % {"browser": browser, "system": system}
    return browser or system or user_agent[:LONGEST]
