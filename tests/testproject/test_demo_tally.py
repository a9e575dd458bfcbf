"""The demo's sums: silent when all agrees, one sentence for each thing that doesn't."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections import Counter
from typing import Any

import pytest

from testproject.demo.posts import Fate, posts
from testproject.demo.report import sums, table
from testproject.demo.tally import REFUSED, TAKEN, Run, Tally, percentile

NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)
OUTCOMES: dict[Fate, dict[str, Any]] = {
    Fate.SPAM: {"status": "SUCCESS", "spam": True},
    Fate.HAM: {"status": "SUCCESS", "spam": False},
    Fate.FAILED: {"status": "FAILURE", "why": "AkismetError: no"},
}


def a_run(comment_id: int, fate: Fate) -> Run:
    """Sent a second after the one before, started 10 ms and finished 20 ms later."""
    sent = NOON + dt.timedelta(seconds=comment_id)
    row: dict[str, Any] = {"spam": None, "why": ""} | OUTCOMES[fate]
    return Run(
        comment_id=comment_id,
        sent=sent,
        started=sent + dt.timedelta(milliseconds=10),
        finished=sent + dt.timedelta(milliseconds=20),
        **row,
    )


def a_good_tally(count: int = 40) -> Tally:
    plan = list(posts(count))
    kept = dict(enumerate((post for post in plan if post.fate is not Fate.ROLLED_BACK), start=1))
    return Tally(
        answers={post: REFUSED if post.fate is Fate.ROLLED_BACK else TAKEN for post in plan},
        comments={id: post.text for id, post in kept.items()},
        marked=frozenset(id for id, post in kept.items() if post.fate is Fate.SPAM),
        runs=[a_run(id, post.fate) for id, post in kept.items()],
        checks=Counter(post.text for post in kept.values()),
    )


def test_a_good_demo_has_no_problems() -> None:
    tally = a_good_tally()

    assert tally.problems() == []
    assert tally.sent == tally.rolled_back + tally.spam + tally.ham + tally.failed == 40


def test_the_figures_are_those_of_the_rows() -> None:
    tally = a_good_tally()

    assert (tally.rolled_back, tally.spam, tally.ham, tally.failed) == (6, 8, 24, 2)
    assert tally.reasons == {"AkismetError: no": 2}
    assert tally.seconds == pytest.approx(33.02)
    assert tally.latency(50) == tally.latency(95) == pytest.approx(0.01)


def test_a_lost_task_is_a_problem() -> None:
    good = a_good_tally()

    problems = dataclasses.replace(good, runs=good.runs[1:]).problems()

    assert "33 tasks are stored, not 40 - 6 = 34." in problems
    assert "There is not exactly one task for each stored comment." in problems


def test_a_task_that_runs_twice_is_a_problem() -> None:
    good = a_good_tally()

    problems = dataclasses.replace(good, checks=Counter(good.checks) + Counter([good.comments[1]])).problems()

    assert problems == ["1 texts were checked too often and 0 too seldom; each stored one is due once."]


def test_a_task_of_a_rolled_back_comment_is_a_problem() -> None:
    good = a_good_tally()
    ghost = next(post.text for post in good.answers if post.fate is Fate.ROLLED_BACK)

    problems = dataclasses.replace(good, checks={**good.checks, ghost: 1}).problems()

    assert problems == ["1 texts were checked too often and 0 too seldom; each stored one is due once."]


def test_a_task_that_has_not_ended_is_a_problem() -> None:
    good = a_good_tally()
    ham = next(place for place, run in enumerate(good.runs) if run.spam is False)
    runs = list(good.runs)
    runs[ham] = dataclasses.replace(runs[ham], status="STARTED", spam=None, finished=None)

    problems = dataclasses.replace(good, runs=runs).problems()

    assert "33 of 34 tasks are spam, ham or failed; the others: {'STARTED': 1}." in problems


def test_a_comment_that_stayed_although_rolled_back_is_a_problem() -> None:
    good = a_good_tally()

    problems = dataclasses.replace(good, comments={**good.comments, 99: "I stayed."}).problems()

    assert "35 comments are stored, not 40 - 6 = 34." in problems


def test_a_mark_that_is_missing_is_a_problem() -> None:
    good = a_good_tally()

    problems = dataclasses.replace(good, marked=frozenset(list(good.marked)[1:])).problems()

    assert problems == ["1 comments are marked otherwise than their task said."]


def test_an_unexpected_answer_is_a_problem() -> None:
    good = a_good_tally()
    unlucky = next(post for post in good.answers if post.fate is Fate.HAM)

    problems = dataclasses.replace(good, answers={**good.answers, unlucky: 500}).problems()

    assert problems == ["1 posts were answered with HTTP 500 instead of 302 or 403."]


def test_a_comment_refused_without_reason_is_a_problem() -> None:
    good = a_good_tally()
    unlucky = next(post for post in good.answers if post.fate is Fate.HAM)

    problems = dataclasses.replace(good, answers={**good.answers, unlucky: REFUSED}).problems()

    assert "7 comments were rolled back, not the 6 of blocked authors." in problems


def test_a_wrong_verdict_is_a_problem() -> None:
    good = a_good_tally()
    first_ham = next(place for place, run in enumerate(good.runs) if run.spam is False)
    runs = list(good.runs)
    runs[first_ham] = dataclasses.replace(runs[first_ham], spam=True)

    problems = dataclasses.replace(good, runs=runs).problems()

    assert "9 comments were found to be spam, not the 8 that were posted." in problems
    assert "1 comments are marked otherwise than their task said." in problems


def test_nothing_at_all_adds_up_and_can_be_printed() -> None:
    nothing = Tally(answers={}, comments={}, marked=frozenset(), runs=[], checks={})

    assert nothing.problems() == []
    assert math.isnan(nothing.latency(50))
    assert "tasks/s" in table(nothing, posting=0.0)


def test_the_table_says_why_tasks_failed() -> None:
    lines = table(a_good_tally(), posting=2.0).splitlines()

    assert "  sent               40   comments posted over HTTP, in 2.0 s" in lines
    assert "                    2 x   AkismetError: no" in lines
    assert "  latency p95     10 ms" in lines


@pytest.mark.parametrize(("posting", "said"), [(33.0, True), (2.0, False)])
def test_the_table_says_when_the_posting_set_the_pace(posting: float, said: bool) -> None:
    assert ("as fast as they came" in table(a_good_tally(), posting=posting)) is said


def test_the_sums_are_written_out() -> None:
    assert "40 sent = 6 rolled back + 8 spam + 24 ham + 2 failed;" in sums(a_good_tally())


@pytest.mark.parametrize(("percent", "value"), [(1, 1.0), (50, 50.0), (95, 95.0), (100, 100.0)])
def test_a_percentile_is_the_value_at_its_rank(percent: int, value: float) -> None:
    assert percentile([float(n) for n in range(1, 101)], percent) == value


def test_no_two_posts_are_the_same() -> None:
    plan = list(posts(500))

    assert len({post.text for post in plan}) == 500


def test_500_posts_have_every_fate() -> None:
    fates = Counter(post.fate for post in posts(500))

    assert fates == {Fate.ROLLED_BACK: 75, Fate.SPAM: 100, Fate.HAM: 300, Fate.FAILED: 25}


def test_a_small_demo_has_every_fate_too() -> None:
    assert {post.fate for post in posts(20)} == set(Fate)


def test_failures_are_of_two_kinds() -> None:
    assert len({post.text.partition(" (")[0] for post in posts(40) if post.fate is Fate.FAILED}) == 2
