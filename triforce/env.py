"""Reading the environment: one line a value, a default beside it, and one clear sentence where a value is nonsense."""

from __future__ import annotations

import os
import secrets
import string
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

READ: list[str] = []  # every name asked for; tests compare it with .env.example


def load_dotenv(path: Path) -> None:
    """Take NAME=value lines of a `.env` file, unless the environment already has the name."""
    if not path.is_file():
        return
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals:
            raise ImproperlyConfigured(f"{path.name}, line {number}: expected NAME=value.")
        os.environ.setdefault(name.strip(), value.strip().strip("\"'"))


def text(name: str, default: str = "") -> str:
    """The value of `name`; empty counts as not set."""
    READ.append(name)
    return os.environ.get(name, "").strip() or default


def secret(name: str) -> str:
    """The value of `name`, or what stands in the file that `<name>_FILE` names."""
    value = text(name)
    path = os.environ.get(f"{name}_FILE", "").strip()
    if not path:
        return value
    if value:
        raise ImproperlyConfigured(f"Set either {name} or {name}_FILE, not both.")
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE: cannot read {path}: {error.strerror}.") from None


def boolean(name: str, default: bool) -> bool:
    """on/off, true/false, yes/no, 1/0."""
    value = text(name).casefold()
    if not value:
        return default
    if value in ("1", "true", "yes", "on"):
        return True
    if value in ("0", "false", "no", "off"):
        return False
    raise ImproperlyConfigured(f"{name} must be on or off, not {value!r}.")


def integer(name: str, default: int, *, low: int, high: int) -> int:
    """A whole number from `low` to `high`."""
    value = text(name)
    if not value:
        return default
    try:
        number = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.") from None
    if not low <= number <= high:
        raise ImproperlyConfigured(f"{name} must be from {low} to {high}, not {number}.")
    return number


def number(name: str, default: float, *, low: float, high: float) -> float:
    """A number from `low` to `high`."""
    value = text(name)
    try:
        found = float(value) if value else default
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a number, not {value!r}.") from None
    if not low <= found <= high:
        raise ImproperlyConfigured(f"{name} must be from {low} to {high}, not {value}.")
    return found


def choice(name: str, default: str, *choices: str) -> str:
    value = text(name, default).casefold()
    if value not in choices:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
    return value


def words(name: str, default: str = "") -> list[str]:
    """Comma-separated words."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def generated_secret(path: Path, prefix: str = "") -> str:
    """A secret made once and kept in a file only we can read, so that tokens survive a restart. With a prefix: letters and digits alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(handle, "w") as file:
        plain = "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(48))
        value = prefix + plain if prefix else secrets.token_urlsafe(48)
        file.write(value)
    return value
