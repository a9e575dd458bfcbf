"""Stored text, of any length and content, made fit to be looked at."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from django_tasks.message.saferepr import MASK, is_secret

from . import declared
from .times import NOTHING

#: Characters of one text on a page.
MOST = 100_000


def block(text: str | None) -> SafeString | str:
    """As it is, in letters of one width. Of a very long text the beginning and the end."""
    if not text:
        return NOTHING
    return format_html('<pre class="tasks-block">{}</pre>', shortened(text))


def line(text: str, *, title: str = "", quiet: bool = False) -> SafeString:
    """One line, cut where the column ends; the tooltip has all of it, or `title`."""
    classes = "tasks-line tasks-quiet" if quiet else "tasks-line"
    return format_html('<span class="{}" title="{}">{}</span>', classes, title or text, text)


def pretty(text: str, task: str = "") -> str:
    """JSON, indented and without secrets, those of `task` included. An exception becomes one line; what is no JSON
    stays as it is."""
    try:
        value = json.loads(
            text, object_pairs_hook=partial(_without_secrets, redact=declared.secrets_of(task))
        )
        if isinstance(value, dict) and "exc_type" in value:
            return _exception(value)
        return json.dumps(value, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def signature(text: str) -> str:
    """A workflow as JSON, indented, without secrets. All positional arguments are masked: they have no names here."""
    try:
        return json.dumps(_masked(json.loads(text), declared.secrets_of("")), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return _("It cannot be read.")


def stored_message(payload: str) -> str:
    """What a stored message orders, without secrets: headers and keyword arguments by their names, others not at all.

    Of a body that nobody can read into, nothing is shown: there is no telling what in it is secret.
    """
    try:
        message = json.loads(payload)
        headers = {key: value for key, value in message["headers"].items() if key not in _REPRS}
        redact = declared.secrets_of(str(headers.get("task", "")))
        shown = {
            "content-type": message.get("content-type"),
            # Item by item: together they look like a signature.
            "headers": {key: _masked({key: value}, redact)[key] for key, value in headers.items()},
            **_masked(_order(message.get("body")), redact),
        }
        return json.dumps(shown, indent=2, ensure_ascii=False)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return _("It cannot be read; it has %d characters.") % len(payload)


#: Headers with arguments as text, of which a foreign sender may not have left the secrets out.
_REPRS = ("argsrepr", "kwargsrepr")


def _order(body: Any) -> dict[str, Any]:
    """As protocol 2 has it: the arguments, and how it goes on."""
    try:
        args, kwargs, _embedded = json.loads(body)
        return {"args": [MASK for _each in args], "kwargs": dict(kwargs)}
    except (ValueError, TypeError, RecursionError):
        return {"body": _("%d characters that are not shown") % len(str(body))}


def _masked(value: Any, redact: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        return [_masked(item, redact) for item in value]
    if not isinstance(value, dict):
        return value
    if isinstance(value.get("task"), str):
        redact = (*redact, *declared.own_secrets_of(value["task"]))
        arguments = value.get("args")
        value = {**value, "args": [MASK for _ in arguments] if isinstance(arguments, list) else MASK}
    return {key: MASK if is_secret(key, redact) else _masked(item, redact) for key, item in value.items()}


def _without_secrets(pairs: Sequence[tuple[str, Any]], redact: tuple[str, ...]) -> dict[str, Any]:
    return {key: MASK if is_secret(key, redact) else value for key, value in pairs}


def _exception(record: dict[str, Any]) -> str:
    """`package.module.Name: what it said`; the record is as message/errors.py writes it."""
    module, said = record.get("exc_module"), record.get("exc_message")
    name = f"{module}.{record['exc_type']}" if module and module != "builtins" else str(record["exc_type"])
    words = ", ".join(map(str, said)) if isinstance(said, list) else str(said or "")
    return f"{name}: {words}" if words else name


def shortened(text: str) -> str:
    """Of a very long text the beginning and the end."""
    if len(text) <= MOST:
        return text
    left_out = _("… %d characters are left out …") % (len(text) - MOST)
    return f"{text[: MOST // 2]}\n\n{left_out}\n\n{text[-MOST // 2 :]}"
