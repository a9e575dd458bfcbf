"""Who asked for a task, and what it is about: what people want to know of it, and no worker needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Model

from django_tasks.exceptions import DecodeError

from .fields import LONGEST, Fields
from .saferepr import saferepr

#: A kind of object, as `app.model`, and its primary key as text.
Subject = tuple[str, str]

#: Headers, which a message has only if there is something to say.
ASKED, SUBJECT = "django_tasks_asked", "django_tasks_subject"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The user and the HTTP request because of whom a task was sent, as far as known; by tasks it is handed on."""

    user_id: str | None
    request_id: str | None


def headers(asked: Asked | None, subject: Subject | None) -> dict[str, Any]:
    """What a message has of it."""
    found: dict[str, Any] = {}
    if asked is not None:
        found[ASKED] = {"user": asked.user_id, "request": asked.request_id}
    if subject is not None:
        found[SUBJECT] = list(subject)
    return found


def read_asked(headers: Mapping[str, Any]) -> Asked | None:
    """Raises `DecodeError` for what cannot be stored."""
    if (said := headers.get(ASKED)) is None:
        return None
    fields = Fields(said, kind=f"Header `{ASKED}`:")
    return Asked(user_id=fields.name("user"), request_id=fields.name("request"))


def read_subject(headers: Mapping[str, Any]) -> Subject | None:
    """Raises `DecodeError` for what cannot be stored."""
    match headers.get(SUBJECT):
        case None:
            return None
        case [str(kind), str(key)] if is_name(kind) and is_name(key):
            return kind, key
    raise DecodeError(
        f"Header `{SUBJECT}` must be a pair of a kind of object and its key; correct its sender."
    )


def subject_of(about: Any) -> Subject | None:
    """What is stored of an object that a task is about: an instance of a model, or the pair that this returns.

    A proxy is what it stands for. Raises `ValueError` for an object that is not saved, or a pair that cannot be
    stored, and `TypeError` for anything else.
    """
    match about:
        case None:
            return None
        case Model(pk=None):
            raise ValueError(f"subject must be saved, and {about!r} has no primary key yet. Save it first.")
        case Model():
            return str(about._meta.concrete_model._meta.label_lower), _fitting(str(about.pk))  # type: ignore[union-attr]
        case (str(kind), str(key)) if kind and key:
            return _fitting(kind), _fitting(key)
    shown = saferepr(about, most=80)
    raise TypeError(
        f"subject must be an instance of a model, or a pair such as ('shop.order', '17'), not {shown}."
    )


def is_name(text: str) -> bool:
    return 0 < len(text) <= LONGEST and text.isprintable()


def _fitting(text: str) -> str:
    if is_name(text):
        return text
    shown = saferepr(text, most=80)
    raise ValueError(f"subject must be known by 1 to {LONGEST} printable characters, not {shown}.")
