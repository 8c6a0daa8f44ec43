"""Imports go one way: triforce, mcp_bridge, llm, memory, accounts, billing; and nobody imports an app's HTTP modules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ("triforce", "mcp_bridge", "llm", "memory", "accounts", "billing")
SHARED_HTTP = ("serializers", "schema")  # how things look on the wire: those of a lower app may be built upon
HTTP = (*SHARED_HTTP, "views", "urls", "consumers", "doors", "pages")  # and what is named after them, like views_status
LEADS_TO = {"triforce/urls.py": ("triforce.views", "triforce.pages"), "triforce/asgi.py": ("llm.consumers",)}
FILES = [path for app in LAYERS for path in sorted((ROOT / app).rglob("*.py"))]


def imported(path: Path) -> Iterator[str]:
    """Every module that the file names, with its parts: `from llm import views` gives llm and llm.views."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{name.name}" for name in node.names)


def is_http(module: str, names: tuple[str, ...] = HTTP) -> bool:
    app, _, rest = module.partition(".")
    stem = rest.split(".")[0]
    return app in LAYERS and (stem in names or stem.startswith(tuple(f"{name}_" for name in names)))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_it_imports_only_to_the_right(path: Path) -> None:
    own = LAYERS.index(path.relative_to(ROOT).parts[0])
    wrong = {name for name in imported(path) if name.split(".")[0] in LAYERS[:own]}
    assert not wrong


@pytest.mark.parametrize("path", [path for path in FILES if not is_http(module_of(path))], ids=module_of)
def test_http_modules_are_leaves(path: Path) -> None:
    allowed = {"triforce/urls.py": ("triforce.views", "triforce.pages"), "triforce/asgi.py": ("llm.consumers",)}.get(
        str(path.relative_to(ROOT)), ()
    )
    assert {name for name in imported(path) if is_http(name) and not name.startswith(allowed or ("-",))} == set()


@pytest.mark.parametrize("path", [path for path in FILES if is_http(module_of(path))], ids=module_of)
def test_http_modules_use_no_other_apps_views(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0]
    others = {name for name in imported(path) if is_http(name) and name.split(".")[0] != own}
    assert {name for name in others if not is_http(name, SHARED_HTTP)} == set()


def test_raw_sql_lives_in_the_meter_alone() -> None:
    def writes_sql(path: Path) -> bool:
        return any(
            isinstance(node, ast.Attribute) and node.attr in ("cursor", "raw", "RawSQL") for node in ast.walk(ast.parse(path.read_text()))
        )

    allowed = {"billing/quota.py", "billing/compiled.py", "billing/db.py", "triforce/views.py"}  # the last asks SELECT 1 for /readyz
    assert {str(path.relative_to(ROOT)) for path in FILES if writes_sql(path) and "migrations" not in path.parts} <= allowed
