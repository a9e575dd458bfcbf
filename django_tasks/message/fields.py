"""Values that strangers wrote, each checked before it is believed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django_tasks import clock
from django_tasks.exceptions import DecodeError

from .saferepr import saferepr, storable

#: The longest id or name, in characters: what columns hold and AMQP's short strings carry.
LONGEST = 255
#: The largest span in seconds: what an integer column holds.
LARGEST = 2**31 - 1
#: The greatest priority.
HIGHEST_PRIORITY = 9
#: The largest count, which leaves room to go on counting.
MOST = 2**30
#: The longest text for display.
MOST_SHOWN = 1024
#: What serializers make of a sequence. A constant, because `list | tuple` is built anew each time it is run.
ARRAY = (list, tuple)


class Fields:
    """Headers or properties, read by name. Missing or null is `None`; malformed raises `DecodeError`.

    What passes can be stored in any of the databases: a value that makes an INSERT fail would take the whole
    batch of messages down with it.
    """

    __slots__ = ("kind", "values")

    def __init__(self, values: object, *, kind: str) -> None:
        if type(values) is not dict and not isinstance(values, Mapping):
            raise refusal(f"The {kind} part", "a mapping", values)
        self.values: Mapping[str, Any] = values
        self.kind = kind

    def name(self, key: str) -> str | None:
        """An id or a name: printable, so neither NUL nor half a surrogate pair. Empty is none."""
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or len(value) > LONGEST or not value.isprintable():
            raise self._refusal(key, f"printable text of at most {LONGEST} characters")
        return value or None

    def display(self, key: str, *, most: int = MOST_SHOWN) -> str:
        """Text that is only shown: made storable and cut, not refused."""
        value = self.values.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self._refusal(key, "text")
        return value[:most] if value.isprintable() else storable(value[:most])[:most]

    def count(self, key: str, *, least: int = 0) -> int | None:
        value = self.values.get(key)
        if value is None:
            return None
        if type(value) is not int or not least <= value <= MOST:
            raise self._refusal(key, f"a whole number from {least} to {MOST}")
        return value

    def flag(self, key: str) -> bool | None:
        value = self.values.get(key)
        if value is None or isinstance(value, bool):
            return value
        raise self._refusal(key, "true, false or null")

    def moment(self, key: str) -> dt.datetime | None:
        """An ISO-8601 moment, in UTC; without an offset it is in the project's time zone."""
        value = self.values.get(key)
        if value is None:
            return None
        try:
            moment = clock.from_storage(dt.datetime.fromisoformat(value))
        except (TypeError, ValueError, OverflowError):
            raise self._refusal(key, "an ISO-8601 date and time") from None
        # MariaDB begins with the year 1000; the last hours of 9999 overflow in time zones east of UTC.
        if not 1000 < moment.year < 9999:
            raise self._refusal(key, "a moment between the years 1000 and 9999")
        return moment

    def time_limits(self, key: str) -> tuple[float | None, float | None]:
        """`[hard, soft]` in seconds; 0 is no limit, as in Celery."""
        value = self.values.get(key)
        if value is None:
            return None, None
        if not isinstance(value, ARRAY) or len(value) != 2 or not all(map(_is_span, value)):
            raise self._refusal(key, "[hard, soft], each seconds or null")
        hard, soft = value
        return hard or None, soft or None

    def signature(self, key: str) -> Mapping[str, Any] | None:
        value = self.values.get(key)
        if value is None or isinstance(value, Mapping):
            return value
        raise self._refusal(key, "a signature or null")

    def signatures(self, key: str) -> tuple[Mapping[str, Any], ...] | None:
        value = self.values.get(key)
        if value is None:
            return None
        if not isinstance(value, ARRAY) or not all(isinstance(item, Mapping) for item in value):
            raise self._refusal(key, "a list of signatures or null")
        return tuple(value)

    def _refusal(self, key: str, wanted: str) -> DecodeError:
        return refusal(f"{self.kind} `{key}`", wanted, self.values[key])


def _is_span(value: object) -> bool:
    # NaN is not between anything.
    return value is None or (type(value) in (int, float) and 0 <= value <= LARGEST)  # type: ignore[operator]


def refusal(what: str, wanted: str, value: object) -> DecodeError:
    """The error to raise for a part of a message that is not what it must be."""
    return DecodeError(f"{what} must be {wanted}, not {saferepr(value, most=80)}; correct its sender.")
