"""Numbers, for people."""

from __future__ import annotations

from django.utils.formats import number_format

from django_tasks.models.counting import Count

from .times import NOTHING


def told(value: float | None) -> str:
    """`12,345`, as it is written in the user's language; of what was not counted to its end `10,000+`."""
    if value is None:
        return NOTHING
    plain, decimals = (int(value), None) if isinstance(value, int) else (value, 1)
    text = number_format(plain, decimal_pos=decimals, use_l10n=True, force_grouping=True)
    return f"{text}+" if isinstance(value, Count) and value.is_capped else text
