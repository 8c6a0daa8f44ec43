"""The pages that say what went wrong."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from django.test import RequestFactory

from triforce import pages


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize(("page", "status"), [(pages.not_found, 404), (pages.forbidden, 403)])
def test_one_gives_its_connection_back(page, status: int) -> None:
    """It is made in a thread outside the request's: a connection left there is one less in the pool for good."""

    def asked() -> tuple[int, bool]:
        return page(RequestFactory().get("/nothing")).status_code, connection.connection is None

    with ThreadPoolExecutor(1) as another_thread:
        assert another_thread.submit(asked).result() == (status, True)
