import datetime as dt
import json
import math
import uuid
from collections import OrderedDict
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils.translation import gettext_lazy
from hypothesis import example, given
from hypothesis import strategies as st
from kombu import serialization as kombu

from django_tasks.exceptions import DecodeError, EncodeError
from django_tasks.message.serialization import dumps, loads

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(dt.UTC))
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.decimals(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


class Opaque:
    pass


class Telling:
    def __json__(self):
        return {"told": 1}


def read(body, accept=("json",), content_type="application/json", content_encoding="utf-8"):
    return loads(body, content_type=content_type, content_encoding=content_encoding, accept=accept)


@given(VALUES)
def test_rich_values_come_back_as_they_were(value):
    written = dumps(value)

    assert written[:2] == ("application/json", "utf-8")
    assert read(written.body) == value


@given(st.timedeltas())
@example(dt.timedelta.max)
@example(dt.timedelta.min)
@example(dt.timedelta(days=36_500, microseconds=1))
@example(dt.timedelta(microseconds=-1))
def test_a_timedelta_is_exact_to_the_microsecond(span):
    assert read(dumps(span).body) == span


def test_a_timedelta_is_written_as_seconds():
    written = dumps(dt.timedelta(minutes=1, milliseconds=500))

    assert json.loads(written.body) == {"__type__": "timedelta", "__value__": 60.5}


def test_a_lazy_string_becomes_text():
    assert read(dumps([gettext_lazy("Monday")]).body) == ["Monday"]


def test_an_object_that_knows_its_json_is_asked():
    assert read(dumps([Telling()]).body) == [{"told": 1}]


def test_nan_and_infinity_are_written_as_celery_writes_them():
    body = dumps([math.nan, math.inf]).body

    assert body == "[NaN, Infinity]"
    assert math.isnan(read(body)[0])


@pytest.mark.parametrize(
    ("value", "place"),
    [
        (User(), "The value"),
        ([1, User()], "The value[1]"),
        ({"a": [{"b": User()}]}, "The value['a'][0]['b']"),
    ],
)
def test_a_model_instance_as_argument_is_refused_with_advice(value, place):
    """FEATURES TX-02."""
    with pytest.raises(EncodeError) as caught:
        dumps(value)

    assert str(caught.value) == (
        f"{place} is an instance of the model auth.User. Pass its pk and fetch the row in the task."
    )


@pytest.mark.parametrize("value", [Opaque(), {1, 2}, User.objects, Exception("x"), open])
def test_what_cannot_be_written_is_named_with_its_place(value):
    with pytest.raises(EncodeError) as caught:
        dumps({"x": [0, value]})

    assert "The value['x'][1] is a " in str(caught.value)
    assert type(value).__qualname__ in str(caught.value)


def test_a_key_that_cannot_be_written_is_explained():
    with pytest.raises(EncodeError, match="keys must be str"):
        dumps({(1, 2): 3})


def test_a_circle_is_refused():
    circle = []
    circle.append(circle)

    with pytest.raises(EncodeError, match="Circular reference"):
        dumps(circle)


def test_deep_nesting_is_refused():
    deep = []
    for _ in range(100_000):
        deep = [deep]

    with pytest.raises(EncodeError, match="RecursionError"):
        dumps(deep)


def test_branching_circles_do_not_take_forever():
    first, second = [], []
    first += [first, second] * 50
    second += [first, second] * 50

    with pytest.raises(EncodeError):
        dumps(first)


def test_an_unknown_serializer_is_answered_with_a_guess():
    with pytest.raises(EncodeError, match=r"No serializer 'jsn' is installed. Did you mean 'json'\?"):
        dumps(1, "jsn")


def test_a_serializer_that_writes_no_text_is_refused():
    with pytest.raises(EncodeError, match="no text or bytes"):
        dumps([1], "raw")


def test_pickle_writes_what_json_does_not():
    written = dumps({1, 2}, "pickle")

    assert written[:2] == ("application/x-python-serialize", "binary")
    assert read(written.body, ["pickle"], *written[:2]) == {1, 2}


@pytest.mark.parametrize(("name", "module"), [("yaml", "yaml"), ("msgpack", "msgpack")])
def test_the_serializers_of_the_extras_work_where_installed(name, module):
    pytest.importorskip(module)

    written = dumps([1, {"a": "b"}], name)

    assert read(written.body, [name], *written[:2]) == [1, {"a": "b"}]


def test_yaml_writes_circles_and_kinds_of_dicts():
    pytest.importorskip("yaml")
    circle = OrderedDict(a=(1, [OrderedDict(b=2)]))
    circle["itself"] = [circle]

    came_back = read(dumps(circle, "yaml").body, ["yaml"], "application/x-yaml", "utf-8")

    assert came_back["a"] == [1, [{"b": 2}]]
    assert came_back["itself"][0] is came_back


def test_a_serializer_of_the_project_works_by_name():
    """FEATURES SER-01."""
    kombu.register("shout", lambda value: value.upper(), lambda body: body.lower(), "text/x-shout")
    try:
        written = dumps("hello", "shout")
        came_back = read(written.body, ["shout"], *written[:2])
    finally:
        kombu.unregister("shout")

    assert written.body == "HELLO"
    assert came_back == "hello"


@pytest.mark.parametrize("accept", [["json"], ["application/json"], ["pickle", "json"]])
def test_content_is_accepted_by_name_or_by_type(accept):
    assert read("[1]", accept) == [1]


@pytest.mark.parametrize(
    "content_type", ["application/x-python-serialize", "application/data", "nonsense", ""]
)
def test_content_outside_the_accepted_is_refused(content_type):
    """FEATURES SER-03."""
    with pytest.raises(DecodeError, match="is refused"):
        read(b"x", content_type=content_type)


def test_pickle_that_is_not_accepted_is_never_loaded(tmp_path):
    """FEATURES SER-03."""
    target = tmp_path / "made"
    bomb = b"cos\nsystem\n(S'touch %s'\ntR." % str(target).encode()

    with pytest.raises(DecodeError):
        read(bomb, content_type="application/x-python-serialize", content_encoding="binary")

    assert not target.exists()


@pytest.mark.parametrize(
    "body", [b"", b"\xff", "{", '{"__type__": "spaceship", "__value__": 1}', "9" * 5000, "[" * 100_000]
)
def test_a_body_that_cannot_be_read_is_refused_in_one_sentence(body):
    with pytest.raises(DecodeError) as caught:
        read(body)

    assert len(str(caught.value)) < 400
    assert str(caught.value).endswith("correct its sender.")


@given(st.binary())
def test_arbitrary_bytes_are_read_or_refused(body):
    refusal = ""
    try:
        read(body)
    except DecodeError as error:
        refusal = str(error)
    assert len(refusal) < 400


def test_uuid_and_decimal_have_celerys_markers():
    body = dumps([uuid.UUID(int=0), Decimal("1.10")]).body

    assert json.loads(body) == [
        {"__type__": "uuid", "__value__": {"hex": "0" * 32}},
        {"__type__": "decimal", "__value__": "1.10"},
    ]


@pytest.mark.parametrize("content_type", [["application/json"], {}, None, 5])
def test_a_content_type_that_is_no_text_is_a_decode_error(content_type: Any) -> None:
    with pytest.raises(DecodeError, match="is refused"):
        loads("1", content_type=content_type, content_encoding="utf-8", accept=("json",))
