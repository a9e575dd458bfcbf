"""One order to run a task, as it travels."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

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
    queue: str = "default"
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
    #: Every header that is not ours: the user's own, and those of protocols newer than this code.
    headers: Mapping[str, Any] = field(default_factory=dict)
    #: How patiently it is sent; `None` is as the settings say. The sender's own affair: it does not travel.
    retry_policy: RetryPolicy | None = field(default=None, compare=False)


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
