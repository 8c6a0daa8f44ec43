"""What a model can do, told from its id where nobody says it. Pure: the catalogue's dev script uses it too."""

from __future__ import annotations

import re
from collections.abc import Iterable

# what is no chat model: the first that matches names it
_OTHER = (
    ("moderation", r"moderation|guard(?!rail)|safeguard|prompt-guard"),
    ("embedding", r"embed|\bbge-|\be5-|\bgte-|minilm|m2-bert|colbert|arctic-embed"),
    ("rerank", r"rerank"),
    ("transcription", r"whisper|transcri|parakeet|canary-"),
    ("speech", r"\btts\b|-tts|orpheus|kokoro|sonic|speech|playai|lyria|cartesia"),
    ("realtime", r"realtime|-live\b|^live-|voice|-streaming"),
    ("video", r"\bveo\b|veo-|sora|video-gen|\bwan2|\bkling|seedance|hailuo"),
    ("image", r"dall-e|imagen|image(?!-to-text)|flux|stable-diffusion|sdxl|seedream|nano-banana|recraft|riverflow|ideogram|aurora-image"),
    ("ocr", r"\bocr\b|-ocr"),
)
_NOT_CHAT = tuple((name, re.compile(pattern)) for name, pattern in _OTHER)
# base and completion models have no chat template
_COMPLETION = re.compile(r"^(ada|babbage|curie|davinci|text-davinci|gpt-3\.5-turbo-instruct$|babbage-002|davinci-002)|-base(-|$)|-fim\b")

_SEES = re.compile(
    r"vision|[-/]vl\b|vl-|-vl|pixtral|llava|omni|gpt-4o|gpt-4\.1|gpt-4-turbo|gpt-[5-9](?!.*-oss)|\bo[134](-|$)(?!mini-2024)|claude-(?!v1|2|instant)"
    r"|gemini|gemma-?[34]|llama-?4|grok-[4-9]|ministral-3|mistral-(small-3\.[1-9]|medium-3|large-[34])|kimi-(vl|k2\.[5-9]|k3)|molmo"
)
_THINKS = re.compile(
    r"thinking|reason|\br1\b|-r1|\bo[134](-|$)|gpt-oss|gpt-[5-9]|magistral|qwq|deepseek-(v3\.[1-9]|v[4-9])|claude-(3-7|3\.7|(opus|sonnet|haiku|fable|mythos)-[4-9])"
    r"|gemini-(2\.5|[3-9])|grok-([4-9]|3-mini)|glm-(4\.[5-9]|[5-9])|minimax-m|qwen3(?!-coder)|nemotron|kimi-k[3-9]|cogito"
)
_CALLS = re.compile(
    r"gpt-(?!3\.5-turbo-(0301|0613)|oss-safe)|claude-(?!v1|2|instant)|gemini|\bo[134](-|$)(?!mini$|preview)|mistral-(small|medium|large|nemo)|ministral|devstral|codestral|magistral"
    r"|pixtral|llama-?(3\.[1-9]|4)|qwen-?[23]|qwq|deepseek-(chat|v3|v[4-9]|flash)|grok-|kimi-|glm-|minimax-m|gpt-oss|nemotron|command-[ra]|nova-|rnj|cogito"
)


def _own(native_id: str) -> str:
    """The id without its vendor: "thinkingmachines" says nothing about thinking."""
    return native_id.casefold().rsplit("/", 1)[-1]


def other_than_chat(native_id: str) -> str:
    """The one thing a model does that is not chat ("embedding", "image", "speech", …), or ""."""
    name = _own(native_id)
    for capability, pattern in _NOT_CHAT:
        if pattern.search(name):
            return capability
    return "completion" if _COMPLETION.search(name) else ""


def capabilities_of(native_id: str, *, chat_is_known: bool = False, reported: Iterable[str] = ()) -> list[str]:
    """What the model can do: as its provider reports, else as its id says; [] = unknown, which is offered as chat.

    `chat_is_known`: somebody sells it by input and output tokens, so that whatever is nothing else is chat.
    """
    if told := [item for item in dict.fromkeys(reported) if item]:
        return told
    if other := other_than_chat(native_id):
        return [other]
    name = _own(native_id)
    extra = [word for word, pattern in (("tools", _CALLS), ("vision", _SEES), ("reasoning", _THINKS)) if pattern.search(name)]
    return ["chat", *extra] if extra or chat_is_known else []
