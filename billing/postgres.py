"""Our connections to PostgreSQL."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.abc import RV, PQGen

from billing import patience


class Connection(psycopg.Connection[Any]):
    """One whose statements fail with OperationalError, and which is then closed, where the server says nothing for too long."""

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        try:
            return super().wait(gen, interval, timeout or patience.of_this_thread())
        except psycopg.OperationalError as error:
            if error.sqlstate is None:  # not the server's word
                self.pgconn.finish()
            raise

    def take_time(self) -> None:
        """Its statements may take as long as they take."""
        self.execute("SET statement_timeout = 0")
