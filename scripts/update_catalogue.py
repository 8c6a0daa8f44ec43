"""Write llm/data/catalogue.json from an installed `genai-prices` (MIT). A developer's tool; the product needs only the JSON.

python -m venv /tmp/prices && /tmp/prices/bin/pip install genai-prices==0.2.3
/tmp/prices/bin/python scripts/update_catalogue.py
"""

from __future__ import annotations

import json
import re
import sys
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genai_prices.data import providers as sources

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from llm.capabilities import capabilities_of  # noqa: E402

TARGET = ROOT / "llm" / "data" / "catalogue.json"
# our slug: (theirs, what stands in front of their ids in the provider's own API)
PROVIDERS = {
    "openai": ("openai", ""),
    "anthropic": ("anthropic", ""),
    "gemini": ("google", ""),
    "mistral": ("mistral", ""),
    "deepseek": ("deepseek", ""),
    "groq": ("groq", ""),
    "cerebras": ("cerebras", ""),
    "openrouter": ("openrouter", ""),
    "together": ("together", ""),
    "fireworks": ("fireworks", "accounts/fireworks/models/"),
    "xai": ("x-ai", ""),
    "moonshot": ("moonshotai", ""),
}
# fine-tuning and batch prices, names for price lists only, and what the provider sells elsewhere than in this API
SKIP = {
    "openai": re.compile(r"^ft:|^gpt-oss|\.ft-|:"),
    "anthropic": re.compile(r"^claude-(v1|2)$"),
    "gemini": re.compile(r"^claude|-maas$|^gemini-flash-1\.5|^gemini-pro"),
    "openrouter": re.compile(r":batch$|^[^/]+$"),
    "mistral": re.compile(r":free$"),
}
NEVER = re.compile(r"$^")
FIELDS = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")


def current(prices: Any, today: Any) -> dict[str, Any]:
    """Of prices with conditions those in force: the latest start, and of the hours of a day the dearest."""
    if not isinstance(prices, list):
        return dict(prices.__dict__)
    started = [item for item in prices if getattr(item.constraint, "start_date", today) <= today]
    latest = max((getattr(item.constraint, "start_date", None) or type(today).min for item in started), default=None)
    newest = [item for item in started if (getattr(item.constraint, "start_date", None) or type(today).min) == latest]
    return max((dict(item.prices.__dict__) for item in newest), key=lambda price: number(price.get("input_mtok")) or Decimal(0))


def number(value: Any) -> Decimal | None:
    """A price; of a tiered one the base, which small requests pay."""
    return getattr(value, "base", value)


def plain(value: Decimal) -> float | int:
    return int(value) if value == value.to_integral_value() else float(value)


def row(model: Any, slug: str, prefix: str, today: Any) -> dict[str, Any] | None:
    """One model as the JSON holds it; empty values are left out."""
    if SKIP.get(slug, NEVER).search(model.id) or model.deprecated or "etired" in (model.description or ""):
        return None
    prices = [number(current(model.prices, today).get(name)) for name in FIELDS]
    sold_by_tokens = prices[0] is not None and prices[1] is not None
    entry = {
        "id": prefix + model.id,
        "name": (model.name or "")[:160],
        "context": model.context_window,
        "can": capabilities_of(model.id, chat_is_known=sold_by_tokens),
        "price": [None if value is None else plain(value) for value in prices] if sold_by_tokens else None,
    }
    return {key: value for key, value in entry.items() if value}


def dumped(head: dict[str, str], catalogue: dict[str, list[dict[str, Any]]]) -> str:
    """The JSON with one model a line, so that a new version reads well as a diff."""
    blocks = []
    for slug, rows in sorted(catalogue.items()):
        lines = [json.dumps(entry, separators=(",", ":"), ensure_ascii=False) for entry in rows]
        blocks.append(f'"{slug}": [\n' + ",\n".join(lines) + "\n]")
    return json.dumps(head)[:-1] + ', "providers": {\n' + ",\n".join(blocks) + "\n}}\n"


def main() -> None:
    today = datetime.now(UTC).date()
    by_id = {source.id: source for source in sources}
    catalogue: dict[str, list[dict[str, Any]]] = {}
    for slug, (theirs, prefix) in PROVIDERS.items():
        rows = [row(model, slug, prefix, today) for model in by_id[theirs].models]
        catalogue[slug] = sorted((entry for entry in rows if entry), key=lambda entry: entry["id"])
    head = {"source": "genai-prices", "version": version("genai-prices"), "date": today.isoformat(), "licence": "MIT"}
    TARGET.write_text(dumped(head, catalogue))
    print(f"{TARGET.relative_to(ROOT)}: {sum(map(len, catalogue.values()))} models, {TARGET.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
