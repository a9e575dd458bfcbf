"""Measure this project and its peers, in turn, round by round, on identical work: `python -m benchmarks [word …]`.

Words choose measures and systems, see --list. Each cell of the table has processes, tables and queues of its own, and a
time limit; one that fails is reported, and the rest goes on.
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
from collections.abc import Sequence
from pathlib import Path

from . import report, rounds, selection
from .bench import HOME, ROOT
from .measures.catalogue import measures
from .measures.measure import Measure
from .system import System, modules, systems

PAGE = ROOT / "docs/explanation/performance.md"
BEGIN, END = "<!-- begin: written by `make bench` -->", "<!-- end: written by `make bench` -->"


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    arguments = _arguments()
    known, all_systems = measures(modules(), arguments.sizes), systems()
    if arguments.list:
        _list(known, all_systems)
        return
    chosen, among = selection.choose(arguments.words, known, all_systems, quick=arguments.quick)
    plan = rounds.Plan(
        measures=chosen,
        systems=among,
        rounds=arguments.rounds or (1 if arguments.quick else 3),
        seconds=arguments.seconds or (0.7 if arguments.quick else 2.0),
        with_limits=not arguments.no_limits,
    )
    found = report.Found(machine=_machine(plan))
    is_whole = False
    try:
        rounds.run(plan, found, after_each=lambda: _keep(report.markdown(found, chosen, among)))
        is_whole = True
    except KeyboardInterrupt:
        print("\nstopped; this was found until now:")
    table = report.markdown(found, chosen, among)
    print(f"\n{table}\nkept in {_keep(table)}")
    if arguments.write_docs and is_whole:
        _put(table, PAGE)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("words", nargs="*", help="measures and systems; default: all but those on request")
    parser.add_argument("--rounds", type=int, help="Default: 3.")
    parser.add_argument("--seconds", type=float, help="About what one cell measures. Default: 2.")
    parser.add_argument(
        "--quick", action="store_true", help="A short round of the main measures and systems."
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=(), help="For the measures of growth.")
    parser.add_argument("--no-limits", action="store_true", help="Leave the raw limits out.")
    parser.add_argument("--write-docs", action="store_true", help="Put the table into the documentation.")
    parser.add_argument("--list", action="store_true", help="List measures and systems, and stop.")
    return parser.parse_args()


def _list(known: Sequence[Measure], among: Sequence[System]) -> None:
    for measure in known:
        print(f"{measure.name:<12} {measure.title}{' (on request)' if measure.on_request else ''}")
    print()
    for system in among:
        print(f"{system.name:<44} {system.says}".rstrip())


def _machine(plan: rounds.Plan) -> str:
    cores, load = os.cpu_count() or 1, os.getloadavg()[0]
    where = f"{cores} cores, {platform.system()}, Python {platform.python_version()}; {plan.seconds:g} s for a cell"
    busy = ": **others were using the machine, so trust none of this**" if load > cores else ""
    return f"{where}; load {load:.1f} when it began{busy}."


def _keep(table: str) -> Path:
    path = HOME / "table.md"
    path.write_text(table)
    return path


def _put(table: str, page: Path) -> None:
    """Between the marks."""
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n\n{table}\n{END}{rest.partition(END)[2]}")
    print(f"written to {page}")


if __name__ == "__main__":
    main()
