"""A stand-in for Stripe, for development and tests: `python -m billing.simulator`. Knows nothing of Django, and moves no money."""
