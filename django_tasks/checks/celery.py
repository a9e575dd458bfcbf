"""Settings that were written for Celery."""

from __future__ import annotations

from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Warning, register

from django_tasks import conf

from .settings import TAG, known_keys

#: Names of Celery's that are not simply ours with CELERY_ in front, old ones mostly.
OTHER_NAMES = {
    "CELERY_ACKS_LATE": "TASK_ACKS_LATE",
    "CELERY_ALWAYS_EAGER": "TASK_ALWAYS_EAGER",
    "CELERY_DEFAULT_QUEUE": "TASK_DEFAULT_QUEUE",
    "CELERY_DEFAULT_RATE_LIMIT": "TASK_DEFAULT_RATE_LIMIT",
    "CELERY_DISABLE_RATE_LIMITS": "WORKER_DISABLE_RATE_LIMITS",
    "CELERY_EAGER_PROPAGATES_EXCEPTIONS": "TASK_EAGER_PROPAGATES",
    "CELERY_IGNORE_RESULT": "TASK_IGNORE_RESULT",
    "CELERY_MESSAGE_COMPRESSION": "TASK_COMPRESSION",
    "CELERY_QUEUES": "TASK_QUEUES",
    "CELERY_REDIRECT_STDOUTS": "WORKER_REDIRECT_STDOUTS",
    "CELERY_RESULT_BACKEND": "RESULT_STORE",
    "CELERY_ROUTES": "TASK_ROUTES",
    "CELERY_TASK_RESULT_EXPIRES": "RESULT_EXPIRES",
    "CELERY_TRACK_STARTED": "TASK_TRACK_STARTED",
    "CELERYD_TASK_SOFT_TIME_LIMIT": "TASK_SOFT_TIME_LIMIT",
    "CELERYD_TASK_TIME_LIMIT": "TASK_TIME_LIMIT",
}


@register(TAG)
def celery_settings(**_: Any) -> list[CheckMessage]:
    found = [name for name in dir(django_settings) if name.startswith("CELERY")]
    if not found:
        return []
    return [
        Warning(
            f"Celery's settings are not read here: {', '.join(found)}.",
            hint=f"{' '.join(map(_counterpart, found))} "
            "While Celery is in use as well, add 'django_tasks.W001' to SILENCED_SYSTEM_CHECKS.",
            id="django_tasks.W001",
        )
    ]


def _counterpart(name: str) -> str:
    if name == "CELERY_ENABLE_UTC":
        return f"{name}: not needed, USE_TZ and TIME_ZONE rule."
    key = OTHER_NAMES.get(name, name.removeprefix("CELERY_"))
    return f"{name}: {conf.NAME}[{key!r}]." if key in known_keys() else f"{name}: not in this version."
