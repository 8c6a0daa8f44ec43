"""billing.serializers: bodies with fields nobody knows, or text nobody can store."""

from __future__ import annotations

import pytest

from tests.people import browser, error_of, make_user, with_token

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"x"', b"{", b"\xff", b'{"email": "a", "email": {}}'])
def test_anything_but_an_object_is_refused(body):
    response = browser().post("/v1/auth/login", body, content_type="application/json")
    assert error_of(response) == (400, "invalid_request")


@pytest.mark.parametrize(
    "body", [b'{"\\ud800": 1, "email": "a", "password": "b"}', b'{"\\u0000": 1}', b'{"email": "\\ud800", "password": "b"}']
)
def test_an_error_can_always_be_sent(body):
    assert error_of(browser().post("/v1/auth/login", body, content_type="application/json")) == (400, "invalid_request")


def test_a_choice_nobody_can_write_is_refused():
    response = with_token(make_user()).post("/v1/keys", b'{"name": "k", "scopes": ["\\ud800"]}', content_type="application/json")
    assert error_of(response) == (400, "invalid_request")


def test_it_names_the_unknown_fields():
    response = browser().post("/v1/auth/login", {"email": "a", "password": "b", "x": 1, "w": 2}, format="json")
    assert response.json()["detail"] == "w: Unknown fields: w, x."
