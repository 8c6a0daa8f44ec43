"""dj-stripe's tables, made by one migration of ours: its own history takes a minute to apply, this one a second."""
