"""What is installed beside us and gets in the way."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error, Warning, register

from .settings import TAG

#: Who installs the package django_tasks: PyPI's backport of Django's tasks, and we.
OWNERS = ("django-kombu-tasks", "django-tasks")


@register(TAG)
def distributions(**_: Any) -> list[CheckMessage]:
    """PyPI's django-tasks installs the same import package, and pip mixes the files of both silently.

    Asked by name: reading what each installed distribution contains takes longer than all the rest of a start.
    """
    owners = [name for name in OWNERS if _is_installed(name)]
    if len(owners) < 2:
        return []
    return [
        Error(
            f"{' and '.join(owners)} both install the package django_tasks: its files are a mixture.",
            hint="Uninstall both, then install the one you want again: "
            f"pip uninstall {' '.join(owners)}; pip install django-kombu-tasks",
            id="django_tasks.E001",
        )
    ]


def _is_installed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


@register(TAG)
def channels_runworker(**_: Any) -> list[CheckMessage]:
    """Django takes a command from the first of the installed apps that have one of its name."""
    order = [app.name for app in apps.get_app_configs() if app.name in ("channels", "django_tasks")]
    if "channels" not in order:
        return []
    first, second = order
    return [
        Warning(
            "channels and django_tasks both have a command runworker. "
            f"`manage.py runworker` is that of {first}, which comes first in INSTALLED_APPS.",
            hint="`manage.py taskworker` runs tasks in either case: it is our runworker by another name. "
            f"If runworker is to be that of {second}, put {second!r} above {first!r}. "
            "When it is as you want it, add 'django_tasks.W004' to SILENCED_SYSTEM_CHECKS.",
            id="django_tasks.W004",
        )
    ]
