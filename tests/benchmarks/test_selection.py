"""The words of `make bench BENCH="…"`."""

import pytest

from benchmarks.measures.catalogue import measures
from benchmarks.selection import choose
from benchmarks.system import modules, systems


def chosen(*words, quick=False):
    found, among = choose(words, measures(modules()), systems(), quick=quick)
    return {measure.name for measure in found}, {system.name for system in among}


def test_without_words_everything_is_measured_but_what_is_on_request():
    names, among = chosen()

    assert names == {"enqueue", "drain", "threads", "latency", "idle"}
    assert among == {system.name for system in systems()}


def test_words_of_one_kind_add_up_and_those_of_different_kinds_narrow_down():
    names, among = chosen("drain", "celery", "dramatiq", "redis")

    assert names == {"drain"}
    assert {name.partition("+")[0] for name in among} == {"celery", "dramatiq"}
    assert all("redis" in name for name in among)


def test_a_full_name_adds_one_system():
    assert chosen("django_tasks+sqlite")[1] == {"django_tasks+sqlite"}
    assert chosen("django_tasks+sqlite", "huey", "redis")[1] == {"django_tasks+sqlite", "huey+redis"}


def test_a_measure_on_request_is_chosen_by_its_name():
    assert chosen("backlog") == ({"backlog"}, {system.name for system in systems()})


def test_a_quick_look_has_one_setting_of_each_peer():
    names, among = chosen(quick=True)

    assert "idle" not in names
    assert "celery+redis" in among
    assert "celery+redis+postgresql/reuse" not in among


def test_a_word_that_means_nothing_is_refused_with_a_guess():
    with pytest.raises(SystemExit, match="Did you mean latency"):
        chosen("latencies")
