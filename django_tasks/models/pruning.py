"""Deleting what is old, so much at a time."""

from __future__ import annotations

from typing import Any

from django.db import models


def delete_first(rows: models.QuerySet[Any], limit: int) -> int:
    """Delete the first of these rows, at most `limit`; how many these were.

    Nothing is locked while they are looked for: whoever looks for the same rows finds them gone, and what is not one
    of them any more stays.
    """
    keys = sorted(rows.values_list("pk", flat=True)[:limit])
    return rows.filter(pk__in=keys).delete()[0] if keys else 0
