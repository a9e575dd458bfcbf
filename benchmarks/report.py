"""What was found, as tables: medians with the range over the rounds, and ratios within each round."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .measures.measure import Measure, Number
from .system import OURS, System, rival

#: measure, system, number
Key = tuple[str, str, str]
#: A heading, and what stands below it for each system.
Column = tuple[str, Callable[[System], str]]
LIMITS = "limits"


@dataclass(slots=True)
class Found:
    """All values, in the order of the rounds; None where a cell failed."""

    values: dict[Key, dict[int, float]] = field(default_factory=dict)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    versions: set[str] = field(default_factory=set)
    machine: str = ""

    def add(self, round_: int, measure: str, system: str, numbers: Mapping[str, float]) -> None:
        for number, value in numbers.items():
            self.values.setdefault((measure, system, number), {})[round_] = value

    def of(self, measure: str, system: str, number: str) -> dict[int, float]:
        return self.values.get((measure, system, number), {})

    def limit(self, name: str) -> dict[int, float]:
        """A raw limit, whichever service it was measured on."""
        return next((value for key, value in self.values.items() if key[0] == LIMITS and key[2] == name), {})


def summary(values: Sequence[float], digits: int = 0) -> str:
    """The median, with the range where there is one."""
    if not values:
        return ""
    shown = f"{statistics.median(values):,.{digits}f}"
    return f"{shown} [{min(values):,.{digits}f}-{max(values):,.{digits}f}]" if len(values) > 1 else shown


def ratio(above: Mapping[int, float], below: Mapping[int, float]) -> float | None:
    """The median of the ratios within each round: what the machine did to a round, it did to both."""
    ratios = [above[round_] / below[round_] for round_ in above.keys() & below.keys() if below[round_]]
    return statistics.median(ratios) if ratios else None


def times(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def markdown(found: Found, measures: Sequence[Measure], systems: Sequence[System]) -> str:
    parts = [_table(found, measure, _grouped(systems)) for measure in measures]
    parts += [_limits(found), _failures(found), _fine_print(found, systems)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _grouped(systems: Sequence[System]) -> list[System]:
    """Each of ours, and below it the peers that are compared with it."""
    rest = [system for system in systems if system.family != OURS]
    grouped = []
    for ours in (system for system in systems if system.family == OURS):
        grouped += [ours, *(system for system in rest if rival(system, systems) == ours)]
    return grouped + [system for system in rest if system not in grouped]


def _table(found: Found, measure: Measure, systems: Sequence[System]) -> str:
    shown = [one for one in systems if any(key[:2] == (measure.name, one.name) for key in found.values)]
    if not shown:
        return ""
    columns: list[Column] = [
        ("system", _name),
        ("keeps results", lambda system: "yes" if system.keeps else "no"),
    ]
    for number in measure.numbers:
        columns += _columns(found, measure, number, shown)
    rows = [[cell(system) for _, cell in columns] for system in shown]
    return f"### {measure.title}\n\n{measure.says.strip()}\n\n{_pipes([head for head, _ in columns], rows)}"


def _columns(found: Found, measure: Measure, number: Number, shown: Sequence[System]) -> list[Column]:
    """The number itself; how ours compares; how much of what is possible it is. Empty ones are left out."""

    def value(system: System) -> dict[int, float]:
        return found.of(measure.name, system.name, number.key)

    def median(system: System) -> str:
        return summary(list(value(system).values()), number.digits)

    def compared(system: System) -> str:
        ours = rival(system, shown) if number.compared and system.family != OURS else None
        if not ours:
            return ""
        return times(ratio(value(ours), value(system)) if number.more else ratio(value(system), value(ours)))

    def of_limit(system: System) -> str:
        return times(ratio(value(system), found.limit(number.limit.format(queue=system.queue))))

    columns = [(number.title, median), ("ours is better by", compared), ("to the raw limit", of_limit)]
    return [(head, cell) for head, cell in columns if any(cell(system) for system in shown)]


def _name(system: System) -> str:
    return f"**{system.name}**" if system.family == OURS else system.name


def _limits(found: Found) -> str:
    rows = [
        [key[2], summary(list(values.values()), 2 if min(values.values()) < 100 else 0)]
        for key, values in found.values.items()
        if key[0] == LIMITS
    ]
    about = """What the machine does without a task queue, in the same rounds, by one process: per second, or in the
unit that is said. Ratios are to those named *send*, *send many* and *take* of the service that carries the tasks."""
    return f"### Raw limits\n\n{about}\n\n{_pipes(['limit', 'per second'], rows)}" if rows else ""


def _failures(found: Found) -> str:
    rows = [
        [measure, system, why.replace("|", "\\|").replace("\n", " ")]
        for (measure, system), why in found.failures.items()
    ]
    return f"### What failed\n\n{_pipes(['measure', 'system', 'last said'], rows)}" if rows else ""


def _fine_print(found: Found, systems: Sequence[System]) -> str:
    rounds = max((len(values) for values in found.values.values()), default=0)
    settings = "".join(f"- {system.name}: {system.says}\n" for system in systems if system.says)
    versions = ", ".join(sorted(found.versions))
    how_many = f"{rounds} round{'s' if rounds != 1 else ''}"
    return f"{how_many}. {found.machine}\n\nVersions: {versions}.\n\nSettings:\n\n{settings}".rstrip()


def _pipes(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
