"""How full the queues of a broker of its own are, for those who cannot wait until it answers: pages and probes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from django.utils.translation import gettext as _

from django_tasks import clock
from django_tasks.brokers.handler import broker
from django_tasks.exceptions import OperationalError

logger = logging.getLogger("django_tasks.brokers")

#: Seconds for which a page is kept;
PATIENCE = 1.0
#: a program has more of them, and no page before it that an answer could be kept from.
PATIENCE_OF_PROGRAMS = 5.0
#: Seconds after which an answer is too old to be shown.
BELIEVED = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How many messages are ready in each queue. Nothing about any if the broker did not tell, and then why."""

    sizes: Mapping[str, int] = field(default_factory=dict)
    trouble: str = ""


class Sizes:
    """Asks in a thread of its own, one at a time. What comes too late for one page is there for the next."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asking: threading.Thread | None = None
        self._answer = Answer()
        self._answered = float("-inf")

    def ask(self, queues: Sequence[str], patience: float = PATIENCE) -> Answer:
        """What the broker says within so many seconds, or said lately."""
        with self._lock:
            if self._asking is None or not self._asking.is_alive():
                self._asking = threading.Thread(target=self._ask, args=(tuple(queues),), daemon=True)
                self._asking.start()
            asking = self._asking
        asking.join(patience)
        if clock.monotonic() - self._answered < BELIEVED:
            return self._answer
        return Answer(trouble=_("it does not answer"))

    def _ask(self, queues: Sequence[str]) -> None:
        try:
            self._answer = Answer(sizes={queue: broker().size(queue) for queue in queues})
        except OperationalError as error:
            logger.warning("How full the queues are is not known: %s", error)
            self._answer = Answer(trouble=str(error))
        self._answered = clock.monotonic()


#: Of this process, whoever asks.
of_broker = Sizes()
