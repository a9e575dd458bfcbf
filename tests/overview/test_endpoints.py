"""The endpoints for programs: whom they answer, and that Prometheus can read them."""

from __future__ import annotations

import re
import types
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection
from django.test import Client, RequestFactory, override_settings
from django.urls import include, path

from django_tasks import states, views
from django_tasks.overview.exposition import Metric, Sample, exposition
from django_tasks.overview.state import State, state_now
from django_tasks.worker.rollups import Rollups

from .conftest import Make

pytestmark = pytest.mark.django_db

TOKEN = "a secret of the monitor's"
URLS = types.ModuleType("urls_of_endpoints")
URLS.urlpatterns = [  # type: ignore[attr-defined]
    path("tasks/", include("django_tasks.urls")),
    path("metrics", views.metrics(token=TOKEN)),
    path("stats.json", views.stats(token=TOKEN)),
]
#: What Prometheus 3 asks for.
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
LINE = re.compile(
    r'^[a-z_]+(\{[a-z_]+="(?:[^"\\\n]|\\[\\n"])*"(,[a-z_]+="(?:[^"\\\n]|\\[\\n"])*")*\})? [-+.e0-9]+$'
)


@pytest.fixture(autouse=True)
def _urls() -> Any:
    with override_settings(ROOT_URLCONF=URLS):
        yield


@pytest.fixture
def monitor() -> Client:
    return Client(headers={"Authorization": f"Bearer {TOKEN}"})


def values(text: str) -> dict[str, float]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(map(LINE.match, lines)), [line for line in lines if not LINE.match(line)]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


@pytest.mark.parametrize("address", ["/metrics", "/stats.json"])
@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", "Bearer é"])
def test_without_the_token_nobody_is_answered(client: Client, address: str, given: str) -> None:
    answer = client.get(address, headers={"Authorization": given})

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_an_empty_token_is_refused_where_it_is_written() -> None:
    with pytest.raises(ImproperlyConfigured, match="empty"):
        views.metrics(token=" ")


@pytest.mark.parametrize("address", ["/tasks/metrics", "/tasks/stats.json"])
def test_without_a_token_in_the_urls_who_may_see_tasks_is_answered(client: Client, address: str) -> None:
    # Given
    assert client.get(address).status_code == 403
    user = User.objects.create_user("clerk")
    client.force_login(user)
    assert client.get(address).status_code == 403

    # When
    user.user_permissions.add(Permission.objects.get(codename="view_taskresult"))

    # Then
    assert client.get(address).status_code == 200


def test_who_has_no_permissions_at_all_is_not_answered(rf: RequestFactory) -> None:
    """A project's users may be of a class without any."""
    request = rf.get("/metrics")
    request.user = types.SimpleNamespace(is_authenticated=True)  # type: ignore[assignment]

    assert views.metrics()(request).status_code == 403


def test_endpoints_are_asked_and_not_told(monitor: Client) -> None:
    assert monitor.post("/metrics").status_code == 405
    assert monitor.head("/metrics").status_code == 200


def test_answers_are_not_kept_by_anybody_on_the_way(monitor: Client) -> None:
    assert "no-store" in monitor.get("/metrics").headers["Cache-Control"]


def test_statistics_are_those_of_the_command(monitor: Client, make_end: Make) -> None:
    make_end()

    found = monitor.get("/stats.json").json()

    assert found["last_24_hours"]["succeeded"] == 1
    assert found["level"] == "warning"


@pytest.mark.parametrize("address", ["/metrics", "/stats.json"])
def test_while_the_database_is_away_it_says_that_and_no_more(
    monitor: Client, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise OperationalError("secret-host is down")

    monkeypatch.setattr(views, "state_now", away)

    answer = monitor.get(address)

    assert answer.status_code == 503
    assert "secret-host" not in answer.text


def test_while_the_database_is_away_it_says_so_to_who_is_logged_in_as_well(admin_client: Client) -> None:
    def away(*_: object) -> None:
        raise OperationalError("secret-host is down")

    with connection.execute_wrapper(away):
        answer = admin_client.get("/tasks/stats.json")

    assert answer.status_code == 503
    assert "secret-host" not in answer.text


@pytest.mark.django_db(transaction=True)
def test_it_asks_outside_of_the_transaction_that_a_project_has_around_each_request(
    monitor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That would begin, and fail, before the view is asked."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    seen: list[bool] = []

    def look() -> State:
        seen.append(connection.in_atomic_block)
        return state_now()

    monkeypatch.setattr(views, "state_now", look)
    monitor.get("/stats.json")

    assert seen == [False]


def test_metrics_tell_what_waits_runs_and_ended(
    monitor: Client, make_end: Make, make_worker: Make, make_message: Make
) -> None:
    # Given
    make_worker()
    make_message()
    make_end(100)
    make_end(100, status=states.FAILURE)
    Rollups().turn()

    # When
    answer = monitor.get("/metrics")

    # Then
    found = values(answer.text)
    labels = 'task="shop.tasks.pay",queue="default"'
    assert found['django_tasks_queue_waiting{queue="default"}'] == 1
    assert found['django_tasks_workers{state="online"}'] == 1
    assert found[f'django_tasks_ended_total{{{labels},outcome="failure"}}'] == 1
    assert found[f'django_tasks_run_seconds_bucket{{{labels},le="+Inf"}}'] == 2
    assert found[f'django_tasks_run_seconds_bucket{{{labels},le="0.512"}}'] == 0
    assert found[f'django_tasks_run_seconds_bucket{{{labels},le="8.192"}}'] == 2
    assert found[f"django_tasks_run_seconds_sum{{{labels}}}"] == pytest.approx(4, rel=0.01)
    assert answer.headers["Content-Type"] == views.PLAIN


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("text/plain", views.PLAIN),
        ("*/*", views.PLAIN),
        ("image/png", views.PLAIN),
        (PROMETHEUS, views.OPEN_METRICS),
        ("application/openmetrics-text", views.OPEN_METRICS),
        ("application/openmetrics-text;q=0.1,text/plain;q=0.9", views.PLAIN),
    ],
)
def test_the_format_is_the_one_that_is_preferred(monitor: Client, accept: str, expected: str) -> None:
    answer = monitor.get("/metrics", headers={"Accept": accept})

    assert answer.headers["Content-Type"] == expected
    assert answer.headers["Vary"].startswith("Accept")
    assert answer.text.endswith("# EOF\n") == (expected == views.OPEN_METRICS)


def test_labels_are_escaped() -> None:
    metric = Metric(name="x", kind="gauge", about="X.", samples=[Sample(1, {"task": 'a"b\\c\nd'})])

    assert exposition([metric]).splitlines()[-1] == 'x{task="a\\"b\\\\c\\nd"} 1'


@pytest.mark.parametrize(("is_open", "family"), [(False, "x_total"), (True, "x")])
def test_a_counter_is_named_as_each_format_wants_it(is_open: bool, family: str) -> None:
    metric = Metric(name="x", kind="counter", about="X.", samples=[Sample(1, {}, "_total")])

    assert exposition([metric], is_open=is_open).splitlines()[1:3] == [
        f"# TYPE {family} counter",
        "x_total 1",
    ]


@pytest.mark.parametrize("is_open", [False, True])
def test_the_reader_that_prometheus_publishes_takes_it(
    is_open: bool, monitor: Client, make_end: Make
) -> None:
    # Given
    pytest.importorskip("prometheus_client")
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_open
    from prometheus_client.parser import text_string_to_metric_families as read_plain

    make_end(100)
    Rollups().turn()

    # When
    accept = "application/openmetrics-text" if is_open else "text/plain"
    text = monitor.get("/metrics", headers={"Accept": accept}).text

    # Then
    families = {family.name: family for family in (read_open if is_open else read_plain)(text)}
    assert families["django_tasks_ended"].type == "counter"
    assert families["django_tasks_run_seconds"].type == "histogram"
