"""The figures, for people."""

from __future__ import annotations

from collections.abc import Iterator

from .tally import Tally


def table(tally: Tally, *, posting: float) -> str:
    """One line for each figure, with a word on what it is. `posting`: the seconds it took to post."""
    lines = (f"  {name:<12} {figure:>8}   {remark}" for name, figure, remark in _lines(tally, posting))
    return "\n".join(["", *(line.rstrip() for line in lines)])


def sums(tally: Tally) -> str:
    """For a tally without problems: what it adds up to."""
    return (
        f"It adds up: {tally.sent} sent = {tally.rolled_back} rolled back + {tally.spam} spam"
        f" + {tally.ham} ham + {tally.failed} failed;\n"
        f"{len(tally.comments)} comments stored, {len(tally.runs)} tasks run, each comment checked once."
    )


def _lines(tally: Tally, posting: float) -> Iterator[tuple[str, str, str]]:
    yield "sent", f"{tally.sent}", f"comments posted over HTTP, in {posting:.1f} s"
    yield "rolled back", f"{tally.rolled_back}", "refused after delay(): no comment, no task"
    yield "spam", f"{tally.spam}", "comments marked"
    yield "ham", f"{tally.ham}", ""
    yield "failed", f"{tally.failed}", ""
    for why, count in tally.reasons.most_common():
        yield "", f"{count} x", why
    pace = ": as fast as they came" if tally.seconds < 1.1 * posting else ""
    span = f"{len(tally.runs)} in {tally.seconds:.1f} s, first sent to last finished{pace}"
    yield "tasks/s", f"{_rate(tally):.0f}", span
    yield "latency p50", f"{tally.latency(50) * 1000:.0f} ms", "from sent to started"
    yield "latency p95", f"{tally.latency(95) * 1000:.0f} ms", ""


def _rate(tally: Tally) -> float:
    return len(tally.runs) / tally.seconds if tally.seconds else 0.0
