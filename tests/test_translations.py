"""The German that is committed: whole, current and compiled. Needs no gettext."""

from __future__ import annotations

import ast
import gettext
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.test import RequestFactory
from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation.template import templatize

from accounts.models import User

ROOT = Path(settings.BASE_DIR)
FOLDER = ROOT / "locale/de/LC_MESSAGES"
OURS = [name for name in settings.INSTALLED_APPS if (ROOT / name / "__init__.py").exists()]
PLACEHOLDER = re.compile(r"%%|%\(\w+\)[a-z]|%[a-z]|\{\w*\}")
FIELD = re.compile(r"(?:msgid|msgid_plural|msgctxt|msgstr(?:\[\d\])?) ")

Entry = tuple[list[str], list[str], str]  # (msgid and its plural, translations, comments)


def entries(domain: str) -> list[Entry]:
    """The entries of a .po file, its header first."""
    blocks = (FOLDER / f"{domain}.po").read_text().split("\n\n")
    return [_entry(block.strip().splitlines()) for block in blocks if block.strip()]


def _entry(lines: list[str]) -> Entry:
    comments = "\n".join(line for line in lines if line.startswith("#"))
    fields: list[tuple[str, str]] = []
    for line in lines:
        if found := FIELD.match(line):
            fields.append((found[0].strip(), ast.literal_eval(line[found.end() :])))
        elif line.startswith('"'):
            fields[-1] = (fields[-1][0], fields[-1][1] + ast.literal_eval(line))
    ids = [text for name, text in fields if name.startswith("msgid")]
    return ids, [text for name, text in fields if name.startswith("msgstr")], comments


def sentences(domain: str) -> Iterator[str]:
    """Every sentence that the code or a template marks for translation: the server's, or the scripts' of the pages."""
    if domain == "djangojs":
        for path in [*(ROOT / "triforce/static/chat").glob("*.js"), *(ROOT / "triforce/static/triforce").glob("*.js")]:
            for quoted in re.findall(r'\bn?gettext\(\s*("(?:[^"\\]|\\.)*")', path.read_text()):
                yield ast.literal_eval(quoted)
        return
    for app in OURS:
        for path in (ROOT / app).rglob("*.py"):
            yield from _marked(path.read_text())
    for path in [*(ROOT / "templates").rglob("*.*"), *(found for app in OURS for found in (ROOT / app).glob("templates/**/*.*"))]:
        for call in re.findall(r"\bn?gettext\((?:[^()'\"]|'(?:\\.|[^'])*'|\"(?:\\.|[^\"])*\")*\)", templatize(path.read_text())):
            yield from _marked(call)


def _marked(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and re.fullmatch(r"_|n?gettext(_lazy|_noop)?", node.func.id):
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


DOMAINS = pytest.mark.parametrize("domain", ["django", "djangojs"])


@DOMAINS
def test_every_sentence_is_translated(domain: str) -> None:
    known = {ids[0] for ids, _, _ in entries(domain)}
    missing = sorted({sentence for sentence in sentences(domain) if sentence not in known})
    assert not missing, f"run `make messages` and translate {missing}"


@DOMAINS
def test_nothing_is_empty_fuzzy_or_left_over(domain: str) -> None:
    header, *rest = entries(domain)
    used = set(sentences(domain))
    assert "fuzzy" not in header[2]
    for ids, translations, comments in rest:
        assert all(translations), ids
        assert len(translations) == len(ids), ids
        assert "fuzzy" not in comments, ids
        assert ids[0] in used, f"no longer used: {ids}"


@DOMAINS
def test_placeholders_are_the_same_ones(domain: str) -> None:
    for ids, translations, _ in entries(domain)[1:]:
        for source, german in zip(ids, translations, strict=True):
            assert sorted(PLACEHOLDER.findall(source)) == sorted(PLACEHOLDER.findall(german)), source
            assert source.endswith("\n") == german.endswith("\n"), source


@DOMAINS
def test_the_compiled_file_is_current(domain: str) -> None:
    with (FOLDER / f"{domain}.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for ids, translations, _ in entries(domain)[1:]:
        found = [compiled.ngettext(*ids, number) for number in (1, 2)] if len(ids) > 1 else [compiled.gettext(ids[0])]
        assert found == translations, f"run `make messages`: {ids}"
    assert len(compiled._catalog) == sum(len(ids) for ids, _, _ in entries(domain))  # type: ignore[attr-defined]


@DOMAINS
def test_it_says_du(domain: str) -> None:
    formal = re.compile(r"\b(Sie|Ihr|Ihre[nmrs]?|Ihnen)\b")
    assert not [text for _, translations, _ in entries(domain)[1:] for text in translations if formal.search(text)]


@pytest.mark.parametrize("page", admin.site._registry.values(), ids=lambda page: page.model._meta.label)
def test_the_administration_has_a_name_for_every_column(page: admin.ModelAdmin) -> None:
    """Django makes one of the column's own, which nobody translates."""
    request = RequestFactory().get("/admin/")
    request.user = User(pk=1, is_staff=True, is_superuser=True)
    shown = {*page.get_list_display(request), *flatten_fieldsets(page.get_fieldsets(request, page.model()))}
    fields = {field.name: field._verbose_name for field in page.model._meta.get_fields() if hasattr(field, "_verbose_name")}
    assert [name for name in shown if name in fields and not isinstance(fields[name], Promise)] == []
    if page.model.__module__.partition(".")[0] in ("accounts", "billing", "llm", "triforce"):
        assert isinstance(page.model._meta.verbose_name, Promise) and isinstance(page.model._meta.verbose_name_plural, Promise)


def test_a_sentence_is_german() -> None:
    with translation.override("de"):
        assert translation.gettext("There is nothing here.") == "Hier ist nichts."
