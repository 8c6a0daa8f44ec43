from typing import Any

from django.apps import AppConfig
from django.contrib.admin import apps as admin
from django.core.exceptions import FieldDoesNotExist
from django.db import connections
from django.db.models.signals import post_migrate, pre_migrate

from billing import patience


class TriforceConfig(AppConfig):
    name = "triforce"
    default = True

    def ready(self) -> None:
        from triforce import failures

        pre_migrate.connect(take_time, sender=self)
        post_migrate.connect(seed_roles, sender=self)
        post_migrate.connect(expect_tasks, sender=self)
        failures.watch()


class AdminConfig(admin.AdminConfig):
    default_site = "triforce.admin_site.Site"
    default = False


def take_time(using: str, **_: Any) -> None:
    """A migration may take as long as it takes."""
    patience.wait_for(None)
    connection = connections[using]
    if connection.vendor == "postgresql":
        connection.ensure_connection()
        connection.connection.take_time()


def seed_roles(apps: Any, **_: Any) -> None:
    """After every migrate: the staff's groups have the rights that this release gives them. `apps`: as far as it went."""
    from triforce.roles import seed

    try:
        apps.get_model("auth", "Group")
    except LookupError:
        return  # a migrate of some apps alone, before there are groups
    seed()


def expect_tasks(apps: Any, **_: Any) -> None:
    """After every migrate: each task of the schedule has a row, so that one that never runs is missed. `apps`: as far as it went."""
    from triforce.schedule import expect

    try:
        apps.get_model("triforce", "TaskState")._meta.get_field("since")
    except (LookupError, FieldDoesNotExist):
        return  # a migrate to a point before it
    expect()
