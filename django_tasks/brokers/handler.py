"""The broker that the settings name."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from kombu.transport import TRANSPORT_ALIASES, resolve_transport
from kombu.utils.url import parse_url, sanitize_url

from django_tasks import conf

from .broker import Broker
from .embedded import SCHEME, Embedded, alias_of
from .remote import Remote


@cache
def broker() -> Broker:
    """Raises `ImproperlyConfigured` with what is wrong with the URL."""
    settings = conf.current()
    if found := problems(settings.BROKER_URL):
        raise ImproperlyConfigured(" ".join(found))
    kind = Remote if settings.is_remote else Embedded
    return kind(settings.BROKER_URL, settings.BROKER_TRANSPORT_OPTIONS)


def _forget(*, setting: str, **_: Any) -> None:
    if setting in (conf.NAME, "DATABASES"):
        if broker.cache_info().currsize:
            broker().close()
        broker.cache_clear()


setting_changed.connect(_forget, dispatch_uid="django_tasks.brokers.handler")


def _leave_to_parent() -> None:
    if broker.cache_info().currsize:
        broker().leave()


# In a forked child: a web server that has sent tasks while it loaded the site, and then forks.
os.register_at_fork(after_in_child=_leave_to_parent)


def problems(url: str) -> list[str]:
    """What is wrong with a broker URL, one sentence each."""
    scheme, found, _ = url.partition("://")
    if not found:
        # Not shown: a password may be in it.
        return ["BROKER_URL must look like 'django://' or 'transport://host/'; it has no '://'."]
    if scheme != SCHEME:
        return _remote_problems(scheme)
    if alias_of(parse_url(url)["hostname"]) not in django_settings.DATABASES:
        known = ", ".join(django_settings.DATABASES)
        return [
            f"BROKER_URL {sanitize_url(url)!r} names no database of DATABASES ({known}). "
            "Write 'django://' for the tasks' own."
        ]
    return []


def _remote_problems(scheme: str) -> list[str]:
    if scheme.partition("+")[0] not in TRANSPORT_ALIASES:
        known = conf.guess(scheme, TRANSPORT_ALIASES)
        return [f"BROKER_URL names the transport {scheme!r}, which kombu does not have.{known}"]
    try:
        resolve_transport(scheme)
    except ImportError as error:
        return [
            f"BROKER_URL needs a package that is not installed: {error}. Redis: pip install 'kombu[redis]'."
        ]
    return []
