"""All measures, in the order in which they are run and shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType

from .drain import Drain, DrainThreads
from .enqueue import Enqueue
from .growth import Backlog, Groups, History, Payload, Processes
from .idle import Idle
from .latency import Latency
from .measure import Measure


def measures(modules: Mapping[str, ModuleType], sizes: Sequence[int] = ()) -> list[Measure]:
    usual: list[Measure] = [Enqueue(), Drain(), DrainThreads(modules), Latency(), Idle()]
    return [*usual, *(growth(sizes) for growth in (Backlog, History, Payload, Processes, Groups))]
