import doctest
import time
from collections import OrderedDict, namedtuple
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_tasks.message import saferepr as module
from django_tasks.message.saferepr import is_secret, saferepr

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner) | st.frozensets(st.text())
    ),
    max_leaves=10,
)
Login = namedtuple("Login", "user password")


class Broken:
    def __repr__(self):
        raise RuntimeError("no")


class Endless(list):
    def __iter__(self):
        while True:
            yield 1


class BrokenDict(dict):
    def items(self):
        raise RuntimeError("no")


class Big:
    def __repr__(self):
        return "x" * 10_000_000


def test_the_examples_in_the_docstrings_are_right():
    assert doctest.testmod(module).failed == 0


@given(PLAIN)
def test_small_values_look_like_their_repr(value):
    assert saferepr(value, most=10**6) == repr(value)


@given(PLAIN, st.integers(0, 50))
def test_the_text_is_never_longer_than_asked(value, most):
    text = saferepr(value, most=most)

    assert len(text) <= most


@pytest.mark.parametrize("value", [(2, 2), (1,), (), {}, [], set(), {1}, frozenset(), "é", b"x", 1.5])
def test_containers_of_each_kind_look_like_their_repr(value):
    assert saferepr(value) == repr(value)


def test_what_is_cut_ends_in_dots():
    assert saferepr("a" * 100, most=10) == "'aaaaaa..."


@pytest.mark.parametrize(
    "value",
    [
        "x" * 100_000_000,
        b"x" * 100_000_000,
        list(range(10_000_000)),
        dict.fromkeys(range(1_000_000)),
        [["x" * 1_000_000] * 1000] * 1000,
        10**100_000,
        Endless(),
    ],
    ids=["text", "bytes", "list", "dict", "nested", "number", "endless"],
)
def test_large_values_take_little_time(value):
    started = time.thread_time()

    text = saferepr(value)

    assert len(text) <= 1024
    # A repr of any of these takes far longer; a bounded one less than a millisecond.
    assert time.thread_time() - started < 0.05


def test_a_list_in_itself_ends():
    circle = [1]
    circle.append(circle)

    assert saferepr(circle) == "[1, [...]]"


def test_deep_nesting_ends():
    deep = []
    for _ in range(100_000):
        deep = [deep]

    assert saferepr(deep) == "[" * 11 + "..." + "]" * 11


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Broken(), "<unrepresentable Broken>"),
        ([1, Broken(), 2], "[1, <unrepresentable Broken>, 2]"),
        ({"a": Broken()}, "{'a': <unrepresentable Broken>}"),
        ([1, BrokenDict()], "[1, BrokenDict({<unrepresentable>"),
    ],
)
def test_an_object_that_cannot_be_shown_says_so(value, text):
    assert saferepr(value) == text


def test_a_huge_repr_of_a_foreign_class_is_cut():
    assert len(saferepr([Big()])) == 1024


def test_text_that_databases_refuse_is_escaped():
    class Odd:
        def __repr__(self):
            return "a\x00b\ud800"

    assert saferepr(Odd()) == "a\\x00b\\ud800"


@pytest.mark.parametrize("key", ["password", "PASSWORD", "db_password_2"])
def test_secrets_are_hidden_by_part_of_their_key_in_any_case(key):
    text = saferepr({key: "hunter2", "n": 1}, redact=["password", "token"])

    assert text == f"{{{key!r}: '********', 'n': 1}}"


@pytest.mark.parametrize(
    "value",
    [
        [{"deep": ({"password": "hunter2"},)}],
        MappingProxyType({"password": "hunter2"}),
        OrderedDict(password="hunter2"),
        Login("ada", "hunter2"),
        {"password": {"new": "hunter2"}},
        {"x" * 2000 + "password": "hunter2"},
    ],
)
def test_secrets_are_hidden_wherever_they_are(value):
    assert "hunter2" not in saferepr(value, redact=("password",))


def test_a_named_tuple_keeps_its_names():
    assert saferepr(Login("ada", "x"), redact=("pass",)) == "Login(user='ada', password='********')"


def test_nothing_is_secret_without_words():
    assert not is_secret("password", ())
    assert is_secret("Password", ["word"])
    assert not is_secret(5, ["5"])
