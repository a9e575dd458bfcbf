"""Which measures of which systems: what the words on the command line choose."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from .measures.measure import Measure
from .system import System


def choose(
    words: Sequence[str], measures: Sequence[Measure], systems: Sequence[System], *, quick: bool = False
) -> tuple[list[Measure], list[System]]:
    """Measures by name; systems by full name, family, "ours", "peers", or service.

    Words of one kind add up, words of different kinds narrow down: `drain celery dramatiq redis` drains both on Redis.
    Without a word for measures, those that are not on request; without one for systems, all.
    """
    wanted = set(words)
    known = {measure.name for measure in measures} | {word for system in systems for word in system.words}
    if unknown := sorted(wanted - known):
        guess = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f" Did you mean {guess[0]}?" if guess else ""
        raise SystemExit(f"There is no measure or system {unknown[0]!r}.{hint} --list lists them.")
    found = [measure for measure in measures if measure.name in wanted] or [
        measure for measure in measures if not measure.on_request and (measure.quick or not quick)
    ]
    wanted -= {measure.name for measure in measures}
    chosen = [system for system in systems if _fits(system, wanted, systems)]
    return found, [system for system in chosen if system.quick or system.name in wanted or not quick]


def _fits(system: System, wanted: set[str], systems: Sequence[System]) -> bool:
    if not wanted or system.name in wanted:
        return True
    families = wanted & {"ours", "peers", *(one.family for one in systems)}
    services = wanted & {service for one in systems for service in one.services}
    fits = all(not words or words & system.words for words in (families, services))
    return fits and bool(families or services)
