"""Forgetting an account by hand, on its page in the admin: the same deletion as its owner's own, with a reason in the log of the staff."""

from __future__ import annotations

import json
import re
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext_lazy as _

from accounts.admin_user import FORGET, ReasonForm, UserAdmin
from accounts.models import User, normalise_email
from billing.audited import who_of
from billing.errors import PaymentUnavailable
from billing.letters import language_of
from triforce.privacy.deletion import Report, delete_account, obstacle


class DeletionForm(ReasonForm):
    email = forms.CharField(label=_("Its e-mail address"), max_length=254, help_text=_("To show that it is this account that you mean."))
    field_order = ("email", "reason")

    def __init__(self, user: User, data: Any = None) -> None:
        super().__init__(data)
        self.user = user
        self.fields["reason"].help_text = _("The log keeps it: leave out who it is about.")

    def clean_email(self) -> str:
        email = normalise_email(self.cleaned_data["email"])
        if email != self.user.email:
            raise forms.ValidationError(_("That is not this account's address; nothing was deleted."))
        return email

    def clean_reason(self) -> str:
        reason: str = self.cleaned_data["reason"]
        names = [re.escape(name) for name in (self.user.email, self.user.name) if name]
        if re.search(rf"(?<!\w)({'|'.join(names)})(?!\w)", reason, re.IGNORECASE):
            raise forms.ValidationError(_("The log keeps it: leave out who it is about."))
        return reason


def forget(request: HttpRequest, object_id: str) -> HttpResponse:
    """GET, POST …/forget/: delete the account with all that is theirs."""
    page = admin.site.get_model_admin(User)
    assert isinstance(page, UserAdmin)
    user = page.chosen(request, object_id, FORGET)
    title = _("Delete the account")
    if why := obstacle(user):
        return page.ask(request, user, None, title=title, words=why)
    form = DeletionForm(user, request.POST or None)
    if not form.is_valid():
        words = _("All that is stored about it is deleted at once and for good; receipts stay as sums. Its owner gets the report by mail.")
        return page.ask(request, user, form, title=title, words=words, press=_("Delete for good"))
    try:
        report = _forget(request, user, form.cleaned_data["reason"])
    except (PaymentUnavailable, ValueError) as error:  # what stands in the way may have come meanwhile
        page.message_user(request, str(error), messages.ERROR)
        return page.back(user)
    page.message_user(request, _("Deleted; report %(number)s was mailed to its owner.") % {"number": report.number}, messages.SUCCESS)
    return HttpResponseRedirect(reverse("admin:accounts_user_changelist"))


@transaction.atomic
def _forget(request: HttpRequest, user: User, reason: str) -> Report:
    """Delete, and write down that it was done, to nobody who could be named."""
    with translation.override(language_of(user)):
        report = delete_account(user)
    message = [{"action": "delete"}, {"values": {"reason": [None, reason]}}]
    LogEntry.objects.create(
        user_id=who_of(request), content_type=ContentType.objects.get_for_model(User), object_repr=f"report {report.number}",
        action_flag=DELETION, change_message=json.dumps(message),
    )  # fmt: skip
    return report
