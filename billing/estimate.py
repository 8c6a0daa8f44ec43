"""How many tokens a text is, without a tokenizer: an upper bound to reserve by, and a fair guess where nobody reported.

Measured with o200k: German 5.6 characters a token, English 6.6, code 2.4, Chinese 1.6. Bytes per token vary less across
scripts than characters do: 2.4 (code) to 6.6.
"""

from __future__ import annotations

MESSAGE_TOKENS = 4  # role and separators, as chat templates add them
IMAGE_TOKENS = 1600  # the most that the common vision models count for one image


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def upper_bound(text: str) -> int:
    """Tokens that hardly any tokenizer exceeds for this text: two bytes a token."""
    return (_bytes(text) + 1) // 2


def guess(text: str) -> int:
    """A fair guess, flagged as estimated wherever it is charged: four bytes a token, at least one for any text."""
    return max(1, round(_bytes(text) / 4)) if text else 0
