"""One order to run a task, as it travels."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from .asked import Asked, Subject
from .retry_policy import RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskMessage:
    """What a sender asks for. Immutable: vary it with `dataclasses.replace`.

    The fields are those of Celery's message protocol 2; moments are aware and in UTC, spans are seconds.
    """

    id: str
    task: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    #: The queue that it came by; where it is sent through an exchange, the first one that it reaches.
    queue: str = "default"
    #: How it is, or was, addressed, if not by its queue. Both do not travel in it.
    exchange: str = field(default="", compare=False)
    routing_key: str = field(default="", compare=False)
    #: A broker that finds no queue for it is to say so to the sender, whose own affair this is.
    mandatory: bool = field(default=False, compare=False)
    priority: int = 0
    #: Nothing of it is stored. `None`, from a foreign sender, means "as the task says".
    ignore_result: bool | None = False
    retries: int = 0
    eta: dt.datetime | None = None
    expires: dt.datetime | None = None
    time_limit: float | None = None
    soft_time_limit: float | None = None
    root_id: str = ""
    parent_id: str | None = None
    group: str | None = None
    group_index: int | None = None
    shadow: str | None = None
    origin: str = ""
    reply_to: str = ""
    argsrepr: str = ""
    kwargsrepr: str = ""
    serializer: str = "json"
    #: How the body is compressed on its way: a content type, or a name that kombu knows.
    compression: str | None = None
    callbacks: tuple[Mapping[str, Any], ...] | None = None
    errbacks: tuple[Mapping[str, Any], ...] | None = None
    chain: tuple[Mapping[str, Any], ...] | None = None
    chord: Mapping[str, Any] | None = None
    replaced_task_nesting: int = 0
    #: Because of whom it was sent.
    asked: Asked | None = None
    #: The object of the project that it is about.
    subject: Subject | None = None
    #: Every header that is not ours: the user's own, and those of protocols newer than this code.
    headers: Mapping[str, Any] = field(default_factory=dict)
    #: How patiently it is sent; `None` is as the settings say. The sender's own affair: it does not travel.
    retry_policy: RetryPolicy | None = field(default=None, compare=False)

    @property
    def address(self) -> tuple[str, str]:
        """Exchange and routing key; the default exchange delivers by the queue's name."""
        return (self.exchange, self.routing_key) if self.exchange else ("", self.queue)


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A message written down: what a broker carries and what a row keeps.

    The body is never compressed here. The header `compression` says that it was, or is to be, where it travels.
    """

    headers: Mapping[str, Any]
    body: str | bytes
    content_type: str
    content_encoding: str
    properties: Mapping[str, Any] = field(default_factory=dict)

    def to_text(self) -> str:
        """The whole envelope as one JSON text, for a column."""
        binary = isinstance(self.body, bytes)
        body = base64.b64encode(self.body).decode() if isinstance(self.body, bytes) else self.body
        return json.dumps(
            {
                "headers": dict(self.headers),
                "body": body,
                "binary": binary,
                "content_type": self.content_type,
                "content_encoding": self.content_encoding,
                "properties": dict(self.properties),
            }
        )

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The opposite of `to_text`."""
        found = json.loads(text)
        body = base64.b64decode(found["body"]) if found.pop("binary") else found["body"]
        return cls(**{**found, "body": body})


def size_of(body: str | bytes, most: int) -> int:
    """How many bytes a body takes; of one that surely takes more than `most`, some number that is larger as well."""
    if isinstance(body, bytes) or len(body) > most or body.isascii():
        return len(body)
    return len(body.encode(errors="surrogatepass"))
