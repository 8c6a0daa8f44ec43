"""The admin's pages about people."""

from __future__ import annotations

import pytest

from accounts.client_logs import store_logs
from accounts.devices import add_device
from accounts.keys import create_key
from accounts.models import ApiKey, User
from accounts.tokens import issue_token
from tests.people import PASSWORD, browser, error_of, make_user, with_token

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator():
    client = browser()
    client.force_login(User.objects.create_superuser("root@example.org", PASSWORD))
    return client


@pytest.mark.parametrize("model", ["user", "apikey", "logintoken", "device", "clientlog", "clientrelease"])
def test_lists_and_pages_open(operator, model):
    user = make_user()
    create_key(user, name="k"), issue_token(user), add_device(user, name="d", kind="desktop"), store_logs(user, [{}], {})
    page = operator.get(f"/admin/accounts/{model}/?q=alice")
    assert page.status_code == 200
    row = page.context["cl"].queryset.first()
    if row:
        assert operator.get(f"/admin/accounts/{model}/{row.pk}/change/").status_code == 200


def test_an_operator_adds_an_account(operator):
    form = {"email": "New@example.org", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    assert operator.post("/admin/accounts/user/add/", form).status_code == 302
    assert User.objects.get(email="new@example.org").check_password(PASSWORD)
    assert operator.post("/admin/accounts/user/add/", {**form, "email": "NEW@example.org"}).status_code == 200  # with an error


def test_an_operator_revokes_a_key(operator):
    key, plain = create_key(make_user(), name="k")
    operator.post("/admin/accounts/apikey/", {"action": "revoke", "_selected_action": [key.pk]})
    assert error_of(browser(HTTP_X_API_KEY=plain).get("/v1/auth/me")) == (401, "invalid_token")


def test_an_operator_signs_somebody_out(operator):
    user = make_user()
    client = with_token(user)
    operator.post("/admin/accounts/user/", {"action": "sign_out", "_selected_action": [user.pk]})
    assert client.get("/v1/auth/me").status_code == 401


def test_nobody_edits_a_key(operator):
    key, _plain = create_key(make_user(), name="k")
    assert operator.get("/admin/accounts/apikey/add/").status_code == 403
    assert operator.post(f"/admin/accounts/apikey/{key.pk}/change/", {"name": "x"}).status_code == 403
    assert ApiKey.objects.get().name == "k"
