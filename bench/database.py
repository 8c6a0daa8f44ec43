"""The benchmark's own PostgreSQL database: made, measured, filled and dropped. For an SQLite URL there is nothing to do but fill."""

from __future__ import annotations

import sqlite3
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg

NAME = "triforce_bench"
RECEIPT = (
    "request_id, account_id, subject, tier, entry_point, day, usage_class, requested_model, reserved, charged, state, "
    "created, expires, closed"
)


def own_url(server_url: str, suffix: str = "") -> str:
    """The URL of a database of ours on the server that `server_url` names."""
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{NAME}{suffix}"))


def is_postgres(url: str) -> bool:
    return url.startswith(("postgres://", "postgresql://"))


def create(url: str) -> None:
    """An empty database; what an earlier run left is dropped."""
    if is_postgres(url):
        name = _own_name(url)
        with _server(url) as server:
            server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            server.execute(f'CREATE DATABASE "{name}"')


def drop(url: str) -> None:
    if is_postgres(url):
        with _server(url) as server:
            server.execute(f'DROP DATABASE IF EXISTS "{_own_name(url)}" WITH (FORCE)')


def version(url: str) -> str:
    """The server's version, like "15.8"."""
    with _server(url) as server:
        return str(_one(server, "SHOW server_version")).split()[0]


def own(url: str) -> list[int]:
    """The processes that serve connections to our database."""
    return _pids(url, "datname = %s AND pid <> pg_backend_pid()")


def processes(url: str) -> list[int]:
    """The same and the server's own helpers: what a request costs PostgreSQL, its log writer included."""
    if not is_postgres(url):
        return []
    return _pids(url, "(datname = %s OR backend_type <> 'client backend') AND pid <> pg_backend_pid()")


def fill(url: str, receipts: int) -> None:
    """Add settled receipts of our account, spread over 30 days, until there are `receipts` in all."""
    values = _values(postgres=is_postgres(url))
    if is_postgres(url):
        with psycopg.connect(url, autocommit=True) as connection:
            have = _one(connection, "SELECT count(*) FROM billing_usageevent")
            connection.execute(
                f"INSERT INTO billing_usageevent ({RECEIPT}) SELECT {values} FROM generate_series(%s::bigint, %s::bigint) AS n",
                [have + 1, receipts],
            )
            connection.execute("VACUUM ANALYZE billing_usageevent")
            connection.execute("CHECKPOINT")
        return
    with sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30) as file:
        have = file.execute("SELECT count(*) FROM billing_usageevent").fetchone()[0]
        numbers = "WITH RECURSIVE numbers(n) AS (SELECT ? UNION ALL SELECT n + 1 FROM numbers WHERE n < ?)"
        if have < receipts:
            file.execute(f"{numbers} INSERT INTO billing_usageevent ({RECEIPT}) SELECT {values} FROM numbers", [have + 1, receipts])


def _values(*, postgres: bool) -> str:
    """The columns of RECEIPT for the row number n, all of the one account there is."""
    if postgres:
        key, day, moment = "'req_fill' || n", "CURRENT_DATE - (n %% 30)::int", "now() - (n %% 30) * interval '1 day'"
    else:
        key, day, moment = "'req_fill' || n", "date('now', '-' || (n % 30) || ' days')", "datetime('now', '-' || (n % 30) || ' days')"
    account = "(SELECT min(id) FROM accounts_user)"
    rest = "'enterprise', 'client', {day}, 'cloud', 'openai/bench-20-0', 1100, 32, 'settled', {moment}, {moment}, {moment}"
    return f"{key}, {account}, 'user:' || {account}, " + rest.format(day=day, moment=moment)


def _pids(url: str, where: str) -> list[int]:
    with _server(url) as server:
        return [row[0] for row in server.execute(f"SELECT pid FROM pg_stat_activity WHERE {where}", [_own_name(url)]).fetchall()]


def _own_name(url: str) -> str:
    name = urlsplit(url).path.lstrip("/")
    if not name.startswith(NAME):
        raise ValueError(f"{name} is not the benchmark's own database")
    return name


def _server(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(urlunsplit(urlsplit(url)._replace(path="/postgres")), autocommit=True, connect_timeout=5)


def _one(connection: psycopg.Connection[Any], query: str) -> Any:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]


def meter(url: str) -> dict[str, int]:
    """What the meter wrote: receipts, those of them still open, tokens charged, tokens held."""
    query = """
        SELECT (SELECT count(*) FROM billing_usageevent), (SELECT count(*) FROM billing_usageevent WHERE state = 'open'),
               (SELECT coalesce(sum(used), 0) FROM billing_usageday), (SELECT coalesce(sum(reserved), 0) FROM billing_usageday)"""
    if is_postgres(url):
        with psycopg.connect(url) as connection:
            row = connection.execute(query).fetchone()
    else:
        with sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30) as file:
            row = file.execute(query).fetchone()
    assert row is not None
    return dict(zip(("receipts", "open", "charged", "held"), map(int, row), strict=True))
