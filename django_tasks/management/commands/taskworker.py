"""`manage.py taskworker`: the same as `runworker`, for projects where another app owns that name."""

from .runworker import Command

__all__ = ["Command"]
