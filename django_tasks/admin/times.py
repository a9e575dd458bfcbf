"""Moments and spans, for people."""

from __future__ import annotations

import datetime as dt

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from django_tasks import clock
from django_tasks.models import TaskResult

#: Stands where there is nothing to tell.
NOTHING = "–"  # noqa: RUF001 - a dash

MINUTE, HOUR, DAY = 60, 3600, 86400


def moment(value: dt.datetime | None) -> SafeString | str:
    """How long ago, or in how long; the exact time is in the tooltip. `value` is as the database has it."""
    if value is None:
        return NOTHING
    distance = (clock.now() - clock.from_storage(value)).total_seconds()
    words = _("%(span)s ago") if distance >= 0 else _("in %(span)s")
    return _time(value, words % {"span": _roughly(abs(distance))})


def exact(value: dt.datetime | None) -> SafeString | str:
    """The time itself, and how long ago."""
    if value is None:
        return NOTHING
    iso = _iso(value, "milliseconds")
    exactly = format_html('<time datetime="{}" title="{}" data-tasks-exact>{}</time>', iso, iso, stamp(value))
    return format_html("{} ({})", exactly, moment(value))


def stamp(value: dt.datetime) -> str:
    """The time itself as text, where there can be no element."""
    return _iso(value, "seconds").replace("T", " ")


def span(value: dt.timedelta | None) -> str:
    """`12 ms`, `2.1 s`, `6 min 02 s`, `3 h 05 min`, `2 d 3 h`."""
    if value is None:
        return NOTHING
    # Two machines' clocks may disagree by a little; nobody waited less than nothing.
    seconds = max(value.total_seconds(), 0)
    if seconds < 1:
        return _("%d ms") % round(seconds * 1000)
    if seconds < MINUTE:
        return _("%s s") % number_format(seconds, decimal_pos=1)
    if seconds < HOUR:
        return _("%(minutes)d min %(seconds)02d s") % {
            "minutes": seconds // MINUTE,
            "seconds": seconds % MINUTE,
        }
    if seconds < DAY:
        return _("%(hours)d h %(minutes)02d min") % {
            "hours": seconds // HOUR,
            "minutes": seconds % HOUR // MINUTE,
        }
    return _("%(days)d d %(hours)d h") % {"days": seconds // DAY, "hours": seconds % DAY // HOUR}


def run_time(row: TaskResult) -> dt.timedelta | None:
    """Of a task that somebody is running: until now."""
    if row.is_final or row.claimed_by is None or row.started_at is None:
        return row.run_time
    return clock.now() - clock.from_storage(row.started_at)


def to_come(value: dt.datetime) -> None:
    """Of a form's field: raises `ValidationError` for what is past."""
    if clock.from_storage(value) <= clock.now():
        raise ValidationError(_("This moment is past. Choose a later one, or none."))


def _roughly(seconds: float) -> str:
    if seconds < MINUTE:
        return _("%d s") % seconds
    if seconds < HOUR:
        return _("%d min") % (seconds // MINUTE)
    if seconds < DAY:
        return _("%d h") % (seconds // HOUR)
    return _("%d d") % (seconds // DAY)


def _time(value: dt.datetime, words: str) -> SafeString:
    iso = _iso(value, "milliseconds")
    return format_html('<time datetime="{}" title="{}">{}</time>', iso, iso, words)


def _iso(value: dt.datetime, precision: str) -> str:
    return clock.from_storage(value).astimezone(timezone.get_current_timezone()).isoformat(timespec=precision)
