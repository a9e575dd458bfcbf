"""What is wrong with a workflow is said before any of it is sent."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import User

from django_tasks import Signature, chain, chord, group, task
from django_tasks.canvas.checking import check
from django_tasks.canvas.walking import DEPTH, walk
from django_tasks.exceptions import EncodeError, NotRegistered, UnknownQueue


@pytest.fixture(autouse=True)
def tasks(own_tasks: None) -> None:
    task(name="mill.tasks.add")(_nothing)
    task(name="mill.tasks.forget", ignore_result=True)(_nothing)


def _nothing(*args: Any, **kwargs: Any) -> None: ...


def s(*args: Any, **options: Any) -> Signature:
    return Signature("mill.tasks.add", args, options=options)


def forget(**options: Any) -> Signature:
    return Signature("mill.tasks.forget", options=options)


def test_a_sound_workflow_passes() -> None:
    same = s(9)
    sig = chain(s(1), group(s(2), s(3)), s(4))
    sig.link(same)
    sig.link_error(same)  # twice the same signature is no loop

    check(sig)
    check(chord([chain(forget(), s(1)), forget(ignore_result=False)], forget()))


def test_signatures_cannot_be_linked_in_a_circle() -> None:
    first, second = s(1), s(2)
    first.link(second)

    with pytest.raises(ValueError, match=r"call each other without end\. Link a copy: sig\.clone\(\)"):
        second.link(first)
    with pytest.raises(ValueError, match="Link a copy"):
        first.link_error(first)
    with pytest.raises(ValueError, match="Link a copy"):
        second.link(group([first, second]))
    second.link(first.clone())

    check(first)


def test_a_circle_made_behind_our_back_is_found() -> None:
    first = s(1)
    first.options["link"] = [chain.of([s(2), first])]

    with pytest.raises(ValueError, match=r"linked to itself.*Link a copy"):
        check(first)


def test_a_workflow_may_be_nested_only_so_deeply() -> None:
    deep = s(0)
    for _ in range(DEPTH - 1):
        deep = group([deep])
    check(deep)

    with pytest.raises(
        ValueError, match=rf"more than {DEPTH} levels deep.*Let one of its tasks start the rest"
    ):
        check(group([deep]))


def test_a_deep_one_can_be_handled_within_the_limit_of_recursion() -> None:
    linked, composed = s(0), s(0)
    for number in range(DEPTH - 1):
        outer = s(number)
        outer.options["link"] = [linked]
        linked = outer
    for _ in range(DEPTH // 2 - 1):
        composed = chord([s(1)], chain.of([s(2), composed]))

    for sig in (linked, composed):
        check(sig)
        assert sum(1 for _ in walk(sig.clone())) == sum(1 for _ in walk(sig))


@pytest.mark.parametrize(
    "make",
    [
        lambda sig: sig,
        lambda sig: chain(s(1), sig),
        lambda sig: chord([s(1)], sig),
        lambda sig: s(1).on_error(sig),
        lambda sig: Signature.TYPES["xmap"](sig, [1]),
    ],
)
def test_nam_06_a_name_without_a_task_is_found_anywhere(make: Any) -> None:
    wrong = Signature("mill.tasks.ad")

    with pytest.raises(NotRegistered, match=r"Did you mean 'mill\.tasks\.add'.*\.set\(queue=\.\.\.\)"):
        check(make(wrong))


def test_a_task_of_another_system_needs_its_queue_only() -> None:
    check(chain(s(1), Signature("elsewhere.resize", queue="other")))


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({"queue": "images"}, "No queue 'images'"),
        ({"countdown": -1}, "countdown"),
        ({"priority": 77}, "priority"),
        ({"expires": "soon"}, "expires"),
        ({"countdown": 1, "eta": dt.datetime(2030, 1, 1, tzinfo=dt.UTC)}, "countdown and eta"),
        ({"soft_time_limit": 9, "time_limit": 8}, "soft_time_limit"),
    ],
)
def test_options_of_a_later_step_are_refused_before_the_first_one_is_sent(
    options: dict[str, Any], refusal: str
) -> None:
    with pytest.raises((ValueError, TypeError, UnknownQueue), match=refusal):
        check(chain(s(1), s(2, **options)))
    with pytest.raises((ValueError, TypeError, UnknownQueue), match=refusal):
        check(chord([s(1)], s(2).set(link=s(3, **options))))


@pytest.mark.parametrize(
    "header",
    [
        [s(1, ignore_result=True)],
        [chain(s(1), s(2, ignore_result=True))],
        [group(s(1), s(2, ignore_result=True))],
        [chord([s(1)], s(2, ignore_result=True))],
    ],
)
def test_can_11_a_header_must_keep_its_results(header: list[Signature]) -> None:
    with pytest.raises(ValueError, match=r"ignore its result, which the body waits for\. Leave out"):
        check(chain(s(0), chord(header, s(1))))


def test_can_11_a_task_that_ignores_its_results_as_a_rule_may_be_in_a_header(settings: Any) -> None:
    check(chord([forget()], s(1)))

    settings.DJANGO_TASKS = {"TASK_IGNORE_RESULT": True}
    check(chord([s(1)], s(2)))


def test_a_chord_needs_a_body() -> None:
    with pytest.raises(TypeError, match="Give it a body"):
        check(group(chord([s(1)])))


def test_an_argument_that_cannot_be_written_is_named() -> None:
    with pytest.raises(
        EncodeError, match=r"Argument 2\['user'\] of mill\.tasks\.add is an instance .* Pass its pk"
    ):
        check(chain(s(1), s(2, {"user": User(pk=1)})))
    with pytest.raises(EncodeError, match=r"Keyword argument 'x' of mill\.tasks\.add is a object"):
        check(Signature("mill.tasks.add", kwargs={"x": object()}))


def test_arguments_are_written_as_the_signature_says() -> None:
    check(s({"x": b"\xff"}, serializer="pickle"))
