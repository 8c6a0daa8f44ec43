"""Health for machines: alive (from memory) and ready (looks at what we stand on)."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable

from django.core.cache import cache
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from django.views.decorators.http import require_safe
from redis import RedisError

from accounts.errors import NotFound
from billing.errors import InvalidRequest, ServiceUnavailable
from triforce import drain, pages
from triforce.errors import RETRY_AFTER, Forbidden, InternalError, json_response
from triforce.paths import is_api

log = logging.getLogger(__name__)
_migrated = False


@require_safe
async def health(request: HttpRequest) -> HttpResponse:
    """Alive. Desktop clients ask every 5 s, so nothing but memory is touched."""
    return JsonResponse({"ok": True, "status": "ok"})


@require_safe
async def healthz(request: HttpRequest) -> HttpResponse:
    """The same, by the name that orchestrators ask for."""
    return await health(request)


@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """200 where a request would be served now; 503 names the parts that fail."""
    failed = [name for name, check in CHECKS.items() if not _passes(name, check)]
    parts = {name: "failed" if name in failed else "ok" for name in CHECKS}
    if not failed:
        return JsonResponse({"ok": True, "status": "ok", "checks": parts})
    error = ServiceUnavailable(f"Not ready: {', '.join(failed)}.")
    return JsonResponse({"ok": False, "status": "unavailable", "checks": parts, **error.body()}, status=503, headers=RETRY_AFTER)


def _passes(name: str, check: Callable[[], bool]) -> bool:
    try:
        return check()
    except (DatabaseError, RedisError, OSError) as error:
        log.warning("Not ready: %s (%s)", name, type(error).__name__)
        return False


def _database() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return cursor.fetchone() == (1,)


def _migrations() -> bool:
    """Nothing left to apply; asked until it is true, then remembered."""
    global _migrated
    if not _migrated:
        executor = MigrationExecutor(connection)
        _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return _migrated


def _cache() -> bool:
    value = secrets.token_hex(8)
    cache.set(f"ready:{value}", value, 10)
    return bool(cache.get(f"ready:{value}") == value)


def _serving() -> bool:
    return not drain.is_draining()


CHECKS: dict[str, Callable[[], bool]] = {
    "database": _database,
    "migrations": _migrations,
    "cache": _cache,
    "serving": _serving,
}


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return json_response(InvalidRequest()) if is_api(request.path_info) else defaults.bad_request(request, exception)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    return json_response(Forbidden()) if is_api(request.path_info) else pages.forbidden(request)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form without its token: a page that was open for too long, or somebody else's form."""
    return json_response(Forbidden()) if is_api(request.path_info) else pages.stale(request)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return json_response(NotFound()) if is_api(request.path_info) else pages.not_found(request)


def server_error(request: HttpRequest) -> HttpResponse:
    return json_response(InternalError()) if is_api(request.path_info) else defaults.server_error(request)
