"""The page on which somebody says what the server does where a program asks for nothing special."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from accounts.language import remember
from accounts.models import Substitution
from accounts.sync import change_settings
from billing.models import Tier
from billing.tiers import tier_for
from llm.catalogue import models_for

OWN = ("default_model", "brumo", "substitution", "quota_mails")


class SettingsForm(forms.Form):
    """What the server itself reads of somebody's settings."""

    language = forms.ChoiceField(
        label=gettext_lazy("Language"),
        required=False,
        choices=[("", gettext_lazy("As the browser says")), ("de", "Deutsch"), ("en", "English")],
        help_text=gettext_lazy("Of these pages, and of the mails that we send."),
    )
    default_model = forms.ChoiceField(
        label=gettext_lazy("Model"),
        required=False,
        help_text=gettext_lazy("Answers where a request names none, in every program that you use."),
    )
    substitution = forms.ChoiceField(
        label=gettext_lazy("When it cannot answer"),
        choices=Substitution.choices,
        help_text=gettext_lazy("Who may answer in its place, where a request does not say. The answer always names who it was."),
    )
    brumo = forms.BooleanField(
        label=gettext_lazy("Brumo answers"),
        required=False,
        help_text=gettext_lazy("The bear's tone, where a request sets none of its own."),
    )
    quota_mails = forms.BooleanField(
        label=gettext_lazy("Mails about the day's tokens"),
        required=False,
        help_text=gettext_lazy("One each at 80, 95 and 100 %."),
    )

    def __init__(self, data: Any, *, user: Any, tier: Tier) -> None:
        super().__init__(data, initial={name: getattr(user, name) for name in ("language", *OWN)})
        groups: dict[str, list[tuple[str, str]]] = {}
        for entry in models_for(tier):
            groups.setdefault(entry.provider.name, []).append((entry.model_id, entry.name))
        kept = user.default_model
        if kept and not any(kept == model_id for group in groups.values() for model_id, _name in group):
            groups[str(_("Not offered at the moment"))] = [(kept, kept)]
        self.fields["default_model"].choices = [("", _("As we recommend")), *groups.items()]  # type: ignore[attr-defined]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def own_settings(request: HttpRequest) -> HttpResponse:
    """GET, POST /account/settings"""
    user: Any = request.user
    form = SettingsForm(request.POST or None, user=user, tier=tier_for(user))
    if request.method == "POST" and form.is_valid():
        change_settings(user, {name: form.cleaned_data[name] for name in OWN}, merge=True)
        language = form.cleaned_data["language"]
        with translation.override(language or translation.get_language()):
            messages.success(request, _("Saved. It holds from your next request on."))
        return remember(user, language, redirect("own_settings"))
    return render(request, "pages/settings.html", {"form": form})
