"""Where what tasks ended with is kept besides their rows: the interface, and what passes through it."""

from __future__ import annotations

import datetime as dt
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from django_tasks import states
from django_tasks.message.errors import read_error
from django_tasks.message.serialization import loads


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The state of one task. An id nobody knows is PENDING, as with Celery."""

    id: str
    status: str = states.PENDING
    #: The return value, the exception, or what a custom state carries, as JSON text.
    text: str | None = None
    traceback: str | None = None
    finished_at: dt.datetime | None = None

    @property
    def result(self) -> Any:
        """What `text` says, made anew each time it is asked for."""
        found = None
        if self.text is not None:
            found = loads(
                self.text, content_type="application/json", content_encoding="utf-8", accept=("json",)
            )
        return read_error(found) if self.status in states.EXCEPTION_STATES else found

    @property
    def is_ready(self) -> bool:
        return self.status in states.FINAL_STATES

    @property
    def failed(self) -> bool:
        """Does `get` raise what it has?"""
        return self.status in states.PROPAGATE_STATES

    def to_body(self) -> dict[str, Any]:
        """What an `on_message` is called with."""
        return {
            "task_id": self.id,
            "status": self.status,
            "result": self.result,
            "traceback": self.traceback,
            "date_done": self.finished_at,
        }

    def to_dict(self) -> dict[str, str | None]:
        """As plain text values, for a store to keep in its own way."""
        return {
            "id": self.id,
            "status": self.status,
            "text": self.text,
            "traceback": self.traceback,
            "finished_at": None if self.finished_at is None else self.finished_at.isoformat(),
        }

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Self:
        """The opposite of `to_dict`."""
        finished_at = kept["finished_at"]
        return cls(**{**kept, "finished_at": finished_at and dt.datetime.fromisoformat(finished_at)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a task besides its state; of an unknown one, nothing."""

    task: str | None = None
    queue: str | None = None
    args: tuple[Any, ...] | None = None
    kwargs: Mapping[str, Any] | None = None
    retries: int = 0
    worker: str | None = None
    parent_id: str | None = None
    root_id: str | None = None


class ResultStore(ABC):
    """Keeps the endings of tasks for those who ask; named by the setting `RESULT_STORE`.

    The task's row stays the truth about who runs it and what state it is in, whatever the store. A store is handed
    each ending when the row is written, and is asked first; while it knows nothing, the row answers.
    `django_tasks.testing.conformance` has the tests that a store must pass. It is used by many threads at a time.
    """

    # Does it keep anything besides the rows, so that endings must be handed to it?
    keeps_endings = True
    # Do the rows keep what tasks return as well? Then an ending that is lost here is found there.
    rows_keep_results = True

    @property
    def has_results(self) -> bool:
        """Can anybody ever be told what a task returned?"""
        return self.keeps_endings or self.rows_keep_results

    @abstractmethod
    def put(self, endings: Sequence[Record]) -> None:
        """Keep these, in place of what was kept of the same tasks.

        Called inside the transaction of the tasks' database that records the endings: what this raises undoes them,
        and they are recorded again later. A store whose records can be found in the rows rather writes `on_commit`.
        """

    @abstractmethod
    def look_up(self, id: str) -> Record | None:
        """What was put for this task, or `None`. Any text may be asked for: ids come from URLs, too."""

    @abstractmethod
    def forget(self, id: str) -> None:
        """Keep nothing of this task any more."""

    # A store that is asked over a network does better to ask once for many:

    def look_up_many(self, ids: Sequence[str]) -> dict[str, Record]:
        """What was put for those of these tasks of which something is kept."""
        found = ((id, self.look_up(id)) for id in ids)
        return {id: record for id, record in found if record is not None}

    def forget_many(self, ids: Sequence[str]) -> None:
        for id in ids:
            self.forget(id)


class DatabaseStore(ResultStore):
    """`RESULT_STORE = "database"`, the default: nothing but the rows."""

    keeps_endings = False

    def put(self, endings: Sequence[Record]) -> None:
        """The rows have them."""

    def look_up(self, id: str) -> Record | None:
        return None

    def look_up_many(self, ids: Sequence[str]) -> dict[str, Record]:
        return {}

    def forget(self, id: str) -> None:
        """The row is forgotten by those who ask us to."""
