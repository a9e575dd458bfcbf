"""Signed messages: a worker runs what a program with Django's `SECRET_KEY` has written, and as it wrote it.

What is signed is all that decides what runs, when, and who is told: every header, those of the user included, the bytes
of the body, its content type, `reply_to`, and the address it was sent to. What brokers may change is not: the
compression, the priority, the time that they keep it; neither are headers that somebody added on its way.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.utils.crypto import constant_time_compare, salted_hmac

from django_tasks.exceptions import EncodeError, NotSigned

from .asked import ASKED, SUBJECT
from .message import Envelope

#: A header: who signed it says there where it was sent, and which headers of the user's were.
HEADER = "django_tasks_signed"
#: So a signature of ours fits nothing else that Django signs, and the other way round.
_SALT = "django_tasks.message"
#: Headers that are signed in every message, those that it does not have as well.
OURS = (
    "lang", "task", "id", "shadow", "eta", "expires", "group", "group_index", "retries", "timelimit",
    "root_id", "parent_id", "argsrepr", "kwargsrepr", "origin", "ignore_result", "replaced_task_nesting",
    "stamped_headers", "stamps", ASKED, SUBJECT,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What the signer of a message said besides: nothing else of its address, and no other header, is theirs."""

    exchange: str
    #: The queue, if there is no exchange.
    routing_key: str
    #: The names of the headers that are not ours.
    headers: tuple[str, ...]


def sign(envelope: Envelope, *, address: tuple[str, str], headers: Collection[str]) -> Envelope:
    """The envelope with its signature. Raises `EncodeError` for header values that a broker might change.

    `headers`: the names of those that are the user's.
    """
    exchange, routing_key = address
    more = tuple(sorted(name for name in headers if name not in OURS))
    said = Signed(exchange=exchange, routing_key=routing_key, headers=more)
    try:
        text = _text(envelope, said)
    except (TypeError, ValueError) as error:
        raise EncodeError(
            f"Headers of signed messages are of plain values, text, numbers, lists and dicts, not such: {error}. Write "
            "dates and the like as text, or pass them as arguments."
        ) from error
    mac = _mac(text, settings.SECRET_KEY)
    header = {"to": [exchange, routing_key], "headers": list(more), "mac": mac}
    return dataclasses.replace(envelope, headers={**envelope.headers, HEADER: header})


def check(envelope: Envelope) -> Signed:
    """What was signed; raises `NotSigned` unless it is all as it was then. Nothing of the body is read for it."""
    match envelope.headers.get(HEADER):
        case {"to": [str(exchange), str(routing_key)], "headers": [*names], "mac": str(mac)} if all(
            isinstance(name, str) for name in names
        ):
            said = Signed(exchange=exchange, routing_key=routing_key, headers=tuple(names))
        case _:
            raise NotSigned(
                "It is not signed. If a program of this project sent it, set DJANGO_TASKS['MESSAGE_SIGNING'] there, "
                "too, and send it again; what others send is not run."
            )
    try:
        text = _text(envelope, said)
    except (TypeError, ValueError):
        raise _altered() from None
    found = mac.encode(errors="replace")
    if not any(constant_time_compare(found, _mac(text, key)) for key in _keys()):
        raise _altered()
    return said


def _altered() -> NotSigned:
    return NotSigned(
        "Its signature does not fit: it was altered on its way, or signed with another SECRET_KEY. If the key was "
        "changed since, add the old one to SECRET_KEY_FALLBACKS and replay it."
    )


def _keys() -> list[Any]:
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]


def _mac(text: bytes, key: Any) -> str:
    return salted_hmac(_SALT, text, secret=key, algorithm="sha256").hexdigest()


def _text(envelope: Envelope, said: Signed) -> bytes:
    """What the signature is made of: the same whether it lay in a row, in a list of Redis or in a table of AMQP.

    How long the first part is stands before it, so nothing of the body can be taken for a part of that.
    """
    headers = {name: envelope.headers.get(name) for name in (*OURS, *said.headers)}
    head = _canonical(
        [
            said.exchange,
            said.routing_key,
            list(said.headers),
            headers,
            envelope.content_type,
            _reply_to(envelope.properties),
        ]
    )
    body = envelope.body if isinstance(envelope.body, bytes) else envelope.body.encode(errors="surrogatepass")
    return b"%d:%b%b" % (len(head), head, body)


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _reply_to(properties: Mapping[str, Any]) -> str:
    """Brokers leave out an empty one, or write it."""
    found = properties.get("reply_to")
    return found if isinstance(found, str) else ""
