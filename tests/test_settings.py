"""The environment: .env.example tells all of it, secrets may stand in files, and nonsense stops the start with one sentence."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
KEY = "k" * 60
EXAMPLE = (ROOT / ".env.example").read_text()
STRIPE, LIVE = (f"sk_{mode}_{'aB3' * 10}" for mode in ("test", "live"))
SIGNING = "whsec_0123456789abcdefghijklmnopqrstuv"
POSTGRES = "postgresql://nobody@127.0.0.1:1/nothing"


def python(code: str, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it in a process that sees nothing but this environment."""
    clean = {"PATH": os.environ["PATH"], "VAR_DIR": str(tmp_path), **environment}
    return subprocess.run([sys.executable, *code.split("\n", 1)], cwd=ROOT, env=clean, capture_output=True, text=True, timeout=60)


def value(expression: str, tmp_path: Path, **environment: str) -> str:
    done = python(f"-c\nfrom triforce import env, settings; print({expression})", tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_lists_exactly_what_is_read(tmp_path: Path) -> None:
    read = value("' '.join(sorted(set(env.READ)))", tmp_path, SECRET_KEY=KEY, DATABASE_URL=POSTGRES).split()
    listed = re.findall(r"^([A-Z_]+)=$", EXAMPLE, re.MULTILINE)
    assert sorted(listed) == read


def test_it_marks_exactly_the_secrets() -> None:
    source = (ROOT / "triforce/settings.py").read_text()
    assert 'env.secret(f"{name}_API_KEY")' in source
    marked = set(re.findall(r"# \[secret\].*\n(?:#.*\n)*([A-Z_]+)=$", EXAMPLE, re.MULTILINE))
    assert {name for name in marked if not name.endswith("_API_KEY")} == set(re.findall(r'env\.secret\("(\w+)"\)', source))
    assert {name for name in marked if name.endswith("_API_KEY")} == set(re.findall(r"^(\w+_API_KEY)=$", EXAMPLE, re.MULTILINE))


def test_it_explains_every_value() -> None:
    lines = EXAMPLE.splitlines()
    assert [line for before, line in itertools.pairwise(lines) if re.match("[A-Z]", line) and not before.startswith("#")] == []


@pytest.mark.parametrize("name", ["SECRET_KEY", "OPENAI_API_KEY", "REDIS_URL", "STRIPE_WEBHOOK_SECRET"])
def test_it_takes_a_secret_from_a_file(name: str, tmp_path: Path) -> None:
    secret = "redis://127.0.0.1:6379/9" if name == "REDIS_URL" else "s" * 60
    path = tmp_path / "secret"
    path.write_text(f"{secret}\n")
    others = {} if name == "SECRET_KEY" else {"SECRET_KEY": KEY}
    read = "settings.PROVIDER_KEYS['openai']" if name == "OPENAI_API_KEY" else f"settings.{name}"
    assert value(read, tmp_path, **{f"{name}_FILE": str(path)}, **others) == secret


def test_it_makes_one_key_in_development_and_keeps_it_to_itself(tmp_path: Path) -> None:
    first, second = (value("settings.SECRET_KEY", tmp_path, DEBUG="on") for _ in range(2))
    assert first == second and len(first) >= 50
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({}, "Set SECRET_KEY (or SECRET_KEY_FILE)"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY is too short"),
        ({"SECRET_KEY": KEY, "SECRET_KEY_FILE": "/tmp/x"}, "Set either SECRET_KEY or SECRET_KEY_FILE, not both."),
        ({"SECRET_KEY_FILE": "/nonexistent/key"}, "SECRET_KEY_FILE: cannot read /nonexistent/key: No such file or directory."),
        ({"DEBUG": "perhaps"}, "DEBUG must be on or off, not 'perhaps'."),
        ({"SECRET_KEY": KEY, "PUBLIC_URL": "example.com"}, "PUBLIC_URL must start with http:// or https://"),
        ({"SECRET_KEY": KEY, "DATABASE_URL": "mysql://x"}, "DATABASE_URL must start with sqlite:/// or postgresql://."),
        ({"SECRET_KEY": KEY, "REDIS_URL": "localhost"}, "REDIS_URL must start with redis:// or rediss://."),
        ({"SECRET_KEY": KEY, "TRUSTED_PROXY_COUNT": "many"}, "TRUSTED_PROXY_COUNT must be a whole number, not 'many'."),
        ({"SECRET_KEY": KEY, "TRUSTED_PROXY_COUNT": "9"}, "TRUSTED_PROXY_COUNT must be from 0 to 5, not 9."),
        ({"SECRET_KEY": KEY, "GITHUB_CLIENT_ID": "x"}, "Signing in with github needs its client id, its secret"),
        ({"SECRET_KEY": KEY, "OIDC_ISSUER": "https://id.example"}, "Signing in with openid_connect needs"),
        ({"SECRET_KEY": KEY, "OIDC_ISSUER": "id", "OIDC_CLIENT_ID": "x", "OIDC_CLIENT_SECRET": "y"}, "OIDC_ISSUER must start with http"),
        ({"SECRET_KEY": KEY, "LOCAL_MODEL": "on"}, "LOCAL_MODEL must be one of auto, off, not 'on'."),
        ({"SECRET_KEY": KEY, "OPENAI_BASE_URL": "api.openai.com"}, "OPENAI_BASE_URL must start with http:// or https://."),
        ({"SECRET_KEY": KEY, "TRUSTED_PROXY_SECRET": "x" * 32}, "Trusted-proxy mode needs both"),
        (
            {"SECRET_KEY": KEY, "TRUSTED_PROXY_SECRET": "x", "TRUSTED_PROXY_CIDRS": "10.0.0.0/8"},
            "TRUSTED_PROXY_SECRET must have 32 bytes or more.",
        ),
        ({"SECRET_KEY": KEY, "STRIPE_SECRET_KEY": "sk_test_123"}, "STRIPE_SECRET_KEY must be the secret key"),
        ({"SECRET_KEY": KEY, "STRIPE_SECRET_KEY": STRIPE}, "Set STRIPE_WEBHOOK_SECRET (whsec_…)"),
        ({"SECRET_KEY": KEY, "STRIPE_SECRET_KEY": STRIPE, "STRIPE_WEBHOOK_SECRET": "  "}, "Set STRIPE_WEBHOOK_SECRET (whsec_…)"),
        ({"SECRET_KEY": KEY, "STRIPE_SECRET_KEY": STRIPE, "STRIPE_WEBHOOK_SECRET": "whsec_…"}, "STRIPE_WEBHOOK_SECRET is an example"),
        (
            {"SECRET_KEY": KEY, "STRIPE_SECRET_KEY": STRIPE, "STRIPE_WEBHOOK_SECRET": f"whsec_{'x' * 32}"},
            "STRIPE_WEBHOOK_SECRET is an example",
        ),
        (
            {"DEBUG": "on", "STRIPE_SECRET_KEY": LIVE, "STRIPE_WEBHOOK_SECRET": SIGNING},
            "STRIPE_SECRET_KEY is a live key, which DEBUG refuses",
        ),
        (
            {"SECRET_KEY": KEY, "STRIPE_SECRET_KEY": LIVE, "STRIPE_WEBHOOK_SECRET": SIGNING, "STRIPE_API_HOST": "http://127.0.0.1:9001"},
            "STRIPE_API_HOST is for tests",
        ),
        ({"SECRET_KEY": KEY, "EMAIL_URL": "nonsense://x"}, "EMAIL_URL is not a mail address"),
    ],
)
def test_it_stops_with_one_sentence(environment: dict[str, str], sentence: str, tmp_path: Path) -> None:
    done = python("manage.py\ncheck", tmp_path, **environment)
    assert done.returncode == 1
    assert done.stderr.startswith(f"triforce: {sentence}") and done.stderr.count("\n") == 1, done.stderr
    assert environment.get("TRUSTED_PROXY_SECRET", "none such") not in done.stderr
    assert environment.get("STRIPE_SECRET_KEY", "none such") not in done.stderr


def test_p33_it_sells_with_a_key_and_its_secret(tmp_path: Path) -> None:
    money = {"SECRET_KEY": KEY, "STRIPE_SECRET_KEY": LIVE, "STRIPE_WEBHOOK_SECRET": SIGNING}
    assert value("settings.STRIPE_LIVE_MODE, settings.FORM_TARGETS[1:]", tmp_path, **money) == (
        "True ['https://checkout.stripe.com', 'https://billing.stripe.com']"
    )
    assert value("settings.FORM_TARGETS[1:]", tmp_path, SECRET_KEY=KEY) == "[]"


def test_p37_it_passes_the_deployment_check_in_production(tmp_path: Path) -> None:
    environment = {"SECRET_KEY": "".join(map(chr, range(48, 122))), "PUBLIC_URL": "https://api.example.com", "TRUSTED_PROXY_COUNT": "1"}
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "VAR_DIR": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
