"""How often, and how soon, sending is tried again when the database cannot be reached."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from itertools import count
from typing import Any, Self

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from django_tasks import conf

WHERE = f"{conf.NAME}['TASK_PUBLISH_RETRY_POLICY']"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Keys and meaning are Celery's. Intervals are seconds; `max_retries=None` is for ever."""

    max_retries: int | None = 3
    #: Before the first of them, how much is added for each further one, and how much it is at most.
    interval_start: float = 0
    interval_step: float = 0.2
    interval_max: float = 0.2

    @classmethod
    def of(cls, said: Mapping[str, Any], *, where: str) -> Self:
        """The policy that a mapping describes; keys that it leaves out are as above.

        Raises `ValueError` for an unknown key or a value that will not do.
        """
        for key, value in said.items():
            if key not in KEYS:
                raise ValueError(
                    f"{where} has no key {key!r}.{conf.guess(str(key), KEYS)} It knows {', '.join(KEYS)}."
                )
            if not _will_do(key, value):
                raise ValueError(
                    f"{where}: {key} must be {'a whole number or None' if key == KEYS[0] else 'seconds'}, "
                    f"0 or more, not {value!r}."
                )
        return cls(**said)

    def waits(self) -> Iterator[float]:
        """Seconds to wait before each of the retries.

        >>> list(RetryPolicy().waits())
        [0.0, 0.2, 0.2]
        """
        for retry in count() if self.max_retries is None else range(self.max_retries):
            yield min(float(self.interval_start + retry * self.interval_step), self.interval_max)


KEYS = tuple(field.name for field in fields(RetryPolicy))
NEVER = RetryPolicy(max_retries=0)


def _will_do(key: str, value: object) -> bool:
    if key == KEYS[0] and value is None:
        return True
    kinds = int if key == KEYS[0] else int | float
    return isinstance(value, kinds) and not isinstance(value, bool) and 0 <= value < math.inf


def asked_for(retry: bool | None, policy: Mapping[str, Any] | None) -> RetryPolicy | None:
    """What a call says of it, or `None` if it says nothing. Raises `ValueError` if it will not do."""
    if retry is None and policy is None:
        return None
    settings = conf.current()
    said = {**settings.TASK_PUBLISH_RETRY_POLICY, **(policy or {})}
    found = RetryPolicy.of(said, where="apply_async: retry_policy")
    wanted = settings.TASK_PUBLISH_RETRY if retry is None else retry
    return found if wanted else NEVER


@cache
def usual() -> RetryPolicy:
    """What holds for calls that say nothing. Raises `ImproperlyConfigured`."""
    settings = conf.current()
    if found := problems(settings.TASK_PUBLISH_RETRY_POLICY):
        raise ImproperlyConfigured(" ".join(found))
    return (
        RetryPolicy.of(settings.TASK_PUBLISH_RETRY_POLICY, where=WHERE)
        if settings.TASK_PUBLISH_RETRY
        else NEVER
    )


def problems(said: Mapping[str, Any]) -> list[str]:
    """What is wrong with the setting, if something is, in one sentence."""
    try:
        RetryPolicy.of(said, where=WHERE)
    except ValueError as error:
        return [str(error)]
    return []


def _forget(*, setting: str, **_: Any) -> None:
    if setting == conf.NAME:
        usual.cache_clear()


setting_changed.connect(_forget, dispatch_uid="django_tasks.message.retry_policy")
