"""A real Celery monitor."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import celery

from tests.workers import PATIENCE, eventually

STRANGER = "stranger@host"


class Monitor:
    """What Celery's own `State` believes of one worker, from the events that its `EventReceiver` hears."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self.app = celery.Celery("monitor", broker=url, set_as_current=False)
        self.state = self.app.events.State()
        #: The events of that worker, as they came.
        self.events: list[dict[str, Any]] = []
        #: What `knock` has sent and was heard of.
        self.knocks: set[str] = set()
        self.receiver: Any = None
        self.stopping = False
        self.thread = threading.Thread(target=self.listen, daemon=True)

    def listen(self) -> None:
        with self.app.connection_for_read() as connection:
            self.receiver = self.app.events.Receiver(connection, handlers={"*": self.hear})
            if not self.stopping:
                self.receiver.capture(wakeup=False)

    def hear(self, event: dict[str, Any]) -> None:
        if event["hostname"] == STRANGER:
            self.knocks.add(event["knock"])
        if event["hostname"] == self.name:
            self.events.append(event)
            self.state.event(dict(event))

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.stopping = True
        if self.receiver is not None:
            self.receiver.should_stop = True
        self.thread.join(PATIENCE)
        self.app.close()

    def knock(self) -> None:
        """As a stranger, until that is heard: so it listens, and what was sent before has come."""
        id = uuid.uuid4().hex
        with (
            self.app.connection_for_write() as connection,
            self.app.events.Dispatcher(connection, hostname=STRANGER) as stranger,
        ):

            def is_heard() -> bool:
                stranger.send("worker-heartbeat", knock=id)
                return id in self.knocks

            eventually(is_heard, "the monitor listens")

    # -- what it believes

    def types(self, uuid: str | None = None) -> list[str]:
        return [event["type"] for event in self.events if uuid is None or event.get("uuid") == uuid]

    def event(self, type: str, uuid: str | None = None) -> dict[str, Any]:
        """The first of its type, when it comes."""

        def found() -> dict[str, Any] | None:
            fitting = (
                one for one in list(self.events) if one["type"] == type and uuid in (None, one.get("uuid"))
            )
            return next(fitting, None)

        event = eventually(found, f"{type} of {uuid}")
        assert isinstance(event, dict)
        return event

    def task(self, uuid: str, state: str) -> Any:
        """The task, when it is in this state."""
        eventually(
            lambda: uuid in self.state.tasks and self.state.tasks[uuid].state == state, f"{uuid} is {state}"
        )
        return self.state.tasks[uuid]

    @property
    def worker(self) -> Any:
        return self.state.workers.get(self.name)
