"""Adapters of the external services. Each translates its library's errors into `errors.py` at its own edge."""
