from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"

    def ready(self) -> None:
        import stripe

        from billing import webhooks  # noqa: F401  (what Stripe's events set off)
        from billing.stripe_api import TIMEOUT_SECONDS

        stripe.default_http_client = stripe.RequestsClient(timeout=TIMEOUT_SECONDS)  # dj-stripe's; by itself it would wait for 80 s
