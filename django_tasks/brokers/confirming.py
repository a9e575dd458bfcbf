"""Publishing with confirms (AMQP 0-9-1 as RabbitMQ extends it): what is not confirmed was not sent.

Many messages are under way at a time. All are published as mandatory: what reaches no queue comes back before it is
confirmed, instead of being dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import kombu
from kombu.exceptions import OperationalError

from django_tasks import clock

from .broker import Posting
from .connecting import ANSWER_TIMEOUT
from .publishing import address, publish

#: Messages under way at a time.
WINDOW = 1_000


class Refused(OperationalError):  # type: ignore[misc]  # kombu says nothing of its types
    """The broker answers, and takes all but these (basic.nack)."""

    def __init__(self, postings: Sequence[Posting]) -> None:
        super().__init__("The broker refused a message (basic.nack): its queue may be full.")
        self.postings = postings


class Confirmed:
    """A channel in confirm mode, with what it waits for."""

    def __init__(self, channel: Any) -> None:
        channel.confirm_select()
        self.producer = kombu.Producer(channel)
        self.published = 0
        self.unconfirmed: dict[int, Posting] = {}
        self.refused: list[Posting] = []
        self.returned: set[tuple[str, str]] = set()
        channel.events["basic_ack"].add(self._on_ack)
        channel.events["basic_nack"].add(self._on_nack)
        channel.events["basic_return"].add(self._on_return)

    def publish(self, postings: Sequence[Posting]) -> list[Posting]:
        """Publish, wait for the confirms, and answer what reached no queue; `refused` is what the broker did not take.

        Raises `TimeoutError`.
        """
        self.returned.clear()
        self.refused = []
        for start in range(0, len(postings), WINDOW):
            for posting in postings[start : start + WINDOW]:
                publish(self.producer, posting, mandatory=True)
                self.published += 1
                self.unconfirmed[self.published] = posting
            self._wait()
        return [posting for posting in postings if address(posting) in self.returned]

    def _wait(self) -> None:
        ends = clock.monotonic() + ANSWER_TIMEOUT
        connection = self.producer.channel.connection
        while self.unconfirmed:
            left = ends - clock.monotonic()
            if left <= 0:
                raise TimeoutError("The broker does not confirm")
            connection.drain_events(timeout=left)

    def _on_ack(self, tag: int, multiple: bool) -> None:
        self._taken_off(tag, multiple)

    def _on_nack(self, tag: int, multiple: bool, *_: Any) -> None:
        self.refused += self._taken_off(tag, multiple)

    def _taken_off(self, tag: int, multiple: bool) -> list[Posting]:
        """Those that an answer is about: all up to `tag`, if it is about several."""
        tags = [waiting for waiting in self.unconfirmed if waiting <= tag] if multiple else [tag]
        return [self.unconfirmed.pop(one) for one in tags if one in self.unconfirmed]

    def _on_return(self, error: Exception, exchange: str, routing_key: str, message: Any) -> None:
        self.returned.add((exchange, routing_key))


def confirmed(channel: Any) -> Confirmed:
    """The same for the same channel: confirms count from when they were asked for."""
    known = vars(channel)
    if "django_tasks_confirmed" not in known:
        known["django_tasks_confirmed"] = Confirmed(channel)
    found: Confirmed = known["django_tasks_confirmed"]
    return found
