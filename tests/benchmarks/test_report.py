"""What the benchmark makes of its figures."""

import pytest

from benchmarks.measures.drain import Drain
from benchmarks.measures.latency import NAP, ideal, percentiles
from benchmarks.report import Found, markdown, ratio, summary
from benchmarks.system import System, rival

OURS = System(family="django_tasks", module="ours", database="sqlite", keeps=True)
UNTRACKED = System(
    family="django_tasks", module="ours", broker="redis", database="sqlite", variant="untracked"
)
PEER = System(family="peer", module="peer", database="sqlite", keeps=True, says="as installed")


def test_a_summary_is_the_median_with_the_range():
    assert summary([3.0, 1_000.0, 2.0]) == "3 [2-1,000]"
    assert summary([2.5], digits=1) == "2.5"
    assert summary([]) == ""


def test_ratios_are_taken_within_a_round():
    # The machine was ten times as fast in the second round, for both; the third has only one of them.
    assert ratio({0: 20, 1: 200, 2: 7}, {0: 10, 1: 100}) == 2
    assert ratio({0: 20}, {1: 10}) is None


def test_a_peer_is_compared_with_ours_on_the_same_services_that_keeps_the_same():
    tracked = System(family="django_tasks", module="ours", broker="redis", database="sqlite", keeps=True)
    among = [OURS, tracked, UNTRACKED]

    assert rival(PEER, among) == OURS
    assert rival(System(family="celery", module="celery", broker="redis"), among) == UNTRACKED
    assert rival(System(family="rq", module="rq", broker="redis", keeps=True), among) == tracked
    assert rival(System(family="q", module="q", database="postgresql", keeps=True), among) is None


def test_the_table_has_ratios_to_ours_and_to_the_raw_limit():
    found = Found(machine="A machine.", versions={"peer 1.0"})
    for round_, speed in enumerate((1, 10)):
        found.add(round_, "drain", OURS.name, {"rate": 400 * speed, "boot": 0.5})
        found.add(round_, "drain", PEER.name, {"rate": 100 * speed, "boot": 1})
        found.add(round_, "limits", "limits+sqlite", {"sqlite take": 1_000 * speed})

    table = markdown(found, [Drain()], [PEER, OURS])

    assert "| system | keeps results | tasks/s | ours is better by | to the raw limit | boot, s |" in table
    assert "| **django_tasks+sqlite** | yes | 2,200 [400-4,000] |  | 0.40 | 0.50 [0.50-0.50] |" in table
    assert "| peer+sqlite | yes | 550 [100-1,000] | 4.00 | 0.10 | 1.00 [1.00-1.00] |" in table
    assert table.index("**django_tasks") < table.index("| peer")
    assert "- peer+sqlite: as installed" in table


def test_what_failed_is_in_the_report():
    found = Found(failures={("drain", "peer+sqlite"): "not | installed\nhere"})

    assert "| drain | peer+sqlite | not \\| installed here |" in markdown(found, [Drain()], [PEER])


def test_a_queue_that_costs_nothing_waits_for_its_processes_alone():
    waits = ideal([0.0, 0.0, 0.0, 1.0])

    assert waits == pytest.approx([0, 0, 1000 * NAP, 0])
    assert percentiles(waits)["p99"] == pytest.approx(1000 * NAP)
