"""A database as a big house has it: 100,000 accounts and 1,000,000 receipts of thirty days, for looking at pages that must stay quick.

    DATABASE_URL=postgresql://…/scratch DEBUG=on python -m bench.fill --users 100000 --receipts 1000000
    DATABASE_URL=postgresql://…/scratch DEBUG=on python -m bench.pages        # how long each page of the administration takes

Accounts are made by the ORM, receipts by one statement of the database's own, figures by the product's own billing.rollup. Refuses
outside DEBUG, and where accounts are already.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "triforce.settings")
django.setup()

from allauth.account.models import EmailAddress  # noqa: E402
from allauth.usersessions.models import UserSession  # noqa: E402
from django.conf import settings  # noqa: E402
from django.contrib.admin.models import CHANGE, LogEntry  # noqa: E402
from django.contrib.contenttypes.models import ContentType  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from accounts.models import ApiKey, ClientLog, LoginToken, User  # noqa: E402
from billing import clock, rollup  # noqa: E402
from billing.models import Declaration, Invoice, OutboxMail, Price, Subscription, Tier  # noqa: E402

BATCH = 5000
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
CHANGED = '[{"changed": {"fields": ["Name"]}}, {"values": {"name": ["before", "after"]}}]'
DAYS = 30
MODELS = ("ollama/gpt-oss:120b-cloud", "openai/gpt-4.1-mini", "anthropic/claude-sonnet-4-5", "groq/llama-3.3-70b-versatile")
# n counts the receipts, u is who asked; the rest follows from the two
RECEIPTS = """
INSERT INTO billing_usageevent (request_id, account_id, subject, key_limited, tier, entry_point, day, usage_class, requested_model,
  served_model, attempts, state, streamed, input_tokens, cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens,
  estimated, over_limit, reserved, charged, rule, price_version, latency_ms, ttft_ms, finish_reason, error_code, created, expires, closed,
  visitor)
{numbers}
SELECT 'req_fill' || n,
  CASE WHEN n % 12 = 0 THEN NULL ELSE u END,
  CASE WHEN n % 12 = 0 THEN 'guest:' || (n % 5000) ELSE 'user:' || u END,
  false, CASE WHEN n % 12 = 0 THEN 'guest' WHEN u % 10 = 0 THEN 'enterprise' WHEN u % 10 < 3 THEN 'pro' ELSE 'registered' END,
  CASE WHEN n % 3 = 0 THEN 'websocket' ELSE 'client' END, {day},
  CASE WHEN u % 10 < 3 AND n % 4 = 0 THEN 'unlimited' ELSE 'cloud' END, {model}, CASE WHEN n % 50 = 0 THEN '' ELSE {model} END, '[]',
  CASE WHEN n % 50 = 0 THEN 'failed' WHEN n % 997 = 0 THEN 'expired' ELSE 'settled' END, n % 2 = 0,
  CASE WHEN n % 50 = 0 THEN 0 ELSE 400 + n % 3000 END, 0, 0, CASE WHEN n % 50 = 0 THEN 0 ELSE 100 + n % 1700 END, 0,
  n % 40 = 0, n % 1000 = 0, 9000, CASE WHEN n % 50 = 0 THEN 0 ELSE 500 + n % 3000 + n % 1700 END,
  CASE WHEN n % 50 = 0 THEN 'refused' ELSE 'answered' END, CASE WHEN n % 4 = 0 THEN NULL ELSE {price} END, 800 + n % 4000, 200 + n % 900,
  'stop', CASE WHEN n % 50 = 0 THEN 'upstream_error' ELSE '' END, {created}, {created}, {created}, ''
FROM numbered"""
NUMBERS = {
    "postgresql": "WITH numbered AS (SELECT n, %s + (n::bigint * 7919) %% %s AS u FROM generate_series(1, %s) AS n)",
    "sqlite": "WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < %s), "
    "numbered AS (SELECT n, %s + (n * 7919) %% %s AS u FROM counted)",
}
DAYS_OF_RECEIPTS = """
INSERT INTO billing_usageday (subject, usage_class, day, "limit", used, reserved)
SELECT subject, usage_class, day, NULL, sum(charged), 0 FROM billing_usageevent GROUP BY subject, usage_class, day"""


def people(count: int) -> int:
    """Accounts with what they usually have; the pk of the first. One in ten pays for Unlimited, two for Pro."""
    now = clock.now()
    for start in range(0, count, BATCH):
        numbers = range(start, min(start + BATCH, count))
        joined = {n: now - timedelta(minutes=(count - n) * 0.9) for n in numbers}
        users = User.objects.bulk_create(
            User(email=f"person{n}@example.org", mailbox=f"person{n}@example.org", name=f"Person {n}", password="!", date_joined=joined[n])
            for n in numbers
        )
        EmailAddress.objects.bulk_create(EmailAddress(user=user, email=user.email, verified=True, primary=True) for user in users)
        keyed = [user for user in users if user.pk % 3 == 0]
        ApiKey.objects.bulk_create(ApiKey(user=user, name="laptop", digest=f"{user.pk:064}", hint="tf_live_…fill") for user in keyed)
        LoginToken.objects.bulk_create(LoginToken(user=user, jti=f"{user.pk:032}", client_id="client-fill", expires=now) for user in keyed)
        pro, unlimited = Tier.objects.get(slug="pro"), Tier.objects.get(slug="enterprise")
        Subscription.objects.bulk_create(
            Subscription(
                user=user,
                tier=unlimited if user.pk % 10 == 0 else pro,
                source="stripe",
                starts_at=now - timedelta(days=40),
                interval="month",
                amount=19,
            )
            for user in users
            if user.pk % 10 < 3
        )
    OutboxMail.objects.bulk_create(
        (OutboxMail(dedupe=f"fill:{n}", to=f"person{n}@example.org", subject="80 %", body="", sent_at=now) for n in range(count // 10)),
        batch_size=BATCH,
    )
    return User.objects.filter(email="person0@example.org").values_list("pk", flat=True)[0]


def around(count: int) -> None:
    """What else piles up: sessions, logs of programs and of the staff, invoices, declarations. Needs people()."""
    now = clock.now()
    users = dict(User.objects.order_by("pk").values_list("pk", "email"))
    for start in range(0, count, BATCH):
        some = list(users.items())[start : start + BATCH]
        UserSession.objects.bulk_create(
            UserSession(user_id=pk, ip=f"192.0.2.{pk % 256}", user_agent=BROWSER, session_key=f"{pk:040}", created_at=now, last_seen_at=now)
            for pk, _email in some
        )
        ClientLog.objects.bulk_create(
            ClientLog(
                user_id=pk, level=LEVELS[pk % len(LEVELS)], message=f"line {pk} {line}", entry={}, received=now - timedelta(hours=pk % 700)
            )
            for pk, _email in some
            for line in range(3)
        )
        Invoice.objects.bulk_create(
            Invoice(stripe_id=f"in_{pk}", user_id=pk, number=f"F-{pk}", status="paid", total=19, currency="eur", created=now, paid_at=now)
            for pk, _email in some
            if pk % 10 < 3
        )
        Declaration.objects.bulk_create(
            Declaration(kind="cancel", name="x", email=email, contract="Pro", user_id=pk) for pk, email in some if pk % 50 == 0
        )
        kind, boss = ContentType.objects.get_for_model(User).pk, min(users)
        LogEntry.objects.bulk_create(
            LogEntry(user_id=boss, content_type_id=kind, object_id=str(pk), object_repr=email, action_flag=CHANGE, change_message=CHANGED)
            for pk, email in some
        )


def receipts(count: int, first: int, people_count: int) -> None:
    """Evenly over the last DAYS, the newest now."""
    price = Price.objects.create(model_id=MODELS[1], input="0.4", output="1.6", source="fill").pk
    step = DAYS * 86400 / count
    model = "CASE n % 4 " + " ".join(f"WHEN {n} THEN '{name}'" for n, name in enumerate(MODELS)) + " END"
    if connection.vendor == "postgresql":
        created = f"now() - ({count} - n) * interval '{step} seconds'"
        day, parameters = f"(({created}) AT TIME ZONE 'UTC')::date", [first, people_count, count]
    else:
        created = f"strftime('%Y-%m-%d %H:%M:%f', 'now', '-' || (({count} - n) * {step}) || ' seconds')"
        day, parameters = f"date('now', '-' || (({count} - n) * {step}) || ' seconds')", [count, first, people_count]
    sql = RECEIPTS.format(numbers="{numbers}", day=day, model=model, price=price, created=created).replace("%", "%%")
    with connection.cursor() as cursor:
        cursor.execute(sql.replace("{numbers}", NUMBERS[connection.vendor]), parameters)
        cursor.execute(DAYS_OF_RECEIPTS)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--receipts", type=int, default=1_000_000)
    wanted = parser.parse_args()
    if not settings.DEBUG:
        sys.exit("This fills a database with made-up people: only with DEBUG=on, on a database of its own.")
    call_command("migrate", verbosity=0)
    call_command("seed", verbosity=0)
    if User.objects.exists():
        sys.exit("There are accounts already: give it an empty database.")
    for name, work in (
        ("accounts", lambda: people(wanted.users)),
        ("what is around them", lambda: around(wanted.users)),
        ("receipts", lambda: receipts(wanted.receipts, User.objects.earliest("pk").pk, wanted.users)),
        ("figures", rollup.roll_up),
    ):
        started = time.monotonic()
        work()
        print(f"{name}: {time.monotonic() - started:.1f} s", flush=True)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


if __name__ == "__main__":
    main()
