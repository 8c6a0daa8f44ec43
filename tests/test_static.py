"""Static files as production serves them: hashed names that also hold inside JavaScript modules, and a first load that stays small."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

FIRST_LOAD = 200_000  # bytes, compressed
LATER = ("highlight", "katex")  # loaded where an answer has code or formulas


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from django.test import override_settings

    folder = tmp_path_factory.mktemp("static")
    storages: dict[str, Any] = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "triforce.storage.ModuleStorage"},
    }
    with override_settings(STATIC_ROOT=folder, STORAGES=storages):
        call_command("collectstatic", interactive=False, verbosity=0)
    return folder


def hashed(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.js") if re.search(r"\.[0-9a-f]{12}\.js$", path.name)]


def test_an_import_leads_to_the_version_it_was_written_for(collected: Path) -> None:
    modules = hashed(collected / "chat")
    assert len(modules) > 30
    imports = [(path, found) for path in modules for found in re.findall(r'(?:from|import)\s*\(?"(\.[^"]+)"', path.read_text())]
    assert len(imports) > 60
    for path, name in imports:
        assert re.search(r"\.[0-9a-f]{12}\.js$", name), f"{path.name} imports {name}"
        assert (path.parent / name).resolve().exists()


def test_the_first_load_of_the_chat_is_small(collected: Path) -> None:
    files = hashed(collected / "chat") + [path for path in hashed(collected / "vendor") if not any(one in str(path) for one in LATER)]
    files += [path for path in collected.rglob("*.css") if re.search(r"(chat|base|tokens)\.[0-9a-f]{12}\.css$", path.name)]
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) < FIRST_LOAD
