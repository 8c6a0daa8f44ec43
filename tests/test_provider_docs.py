"""docs/providers.md names every provider with its address, and every quirk that the code knows."""

import re
from pathlib import Path

from llm.providers import PROVIDERS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "providers.md").read_text()
CODE = "".join(path.read_text() for path in (ROOT / "llm" / "providers").glob("*.py"))


def test_it_lists_every_provider_with_its_address():
    for row in PROVIDERS:
        assert f"| {row.name} |" in PAGE
        assert f"`{row.base_url}`" in PAGE or not row.base_url


def test_it_explains_every_quirk_and_no_other():
    used = set(re.findall(r'quirks(?:\.get\(|\[)"(\w+)"', CODE))
    explained = set(re.findall(r"^\| `(\w+)` \| (?:openai|ollama|anthropic|all) \|", PAGE, re.M))
    assert used == explained


def test_the_table_uses_only_quirks_that_exist():
    known = set(re.findall(r'quirks(?:\.get\(|\[)"(\w+)"', CODE))
    assert {name for row in PROVIDERS for name in row.quirks} <= known
