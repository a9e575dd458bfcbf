"""Sending a task by hand: which can be chosen, what is asked, what is sent, and what is said of bad input."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from django_tasks import clock, registry, task
from django_tasks.admin.enqueue_forms import PREFIX, tasks
from django_tasks.models import QueuedMessage, TaskResult
from tests.ledger.tasks import echo, note

if TYPE_CHECKING:
    from decimal import Decimal

    from pytest_django import Settings

ENQUEUE = reverse("admin:django_tasks_enqueue")
TASKS = reverse("admin:django_tasks_taskresult_changelist")
HOSTILE = "<script>alert(1)</script>"

Declare = Callable[..., Any]


@pytest.fixture
def declare() -> Iterator[Declare]:
    """Makes a task of a function, for this test only."""
    made: list[str] = []

    def declare(function: Callable[..., Any], **options: Any) -> Any:
        name = f"shop.tasks.{function.__name__}"
        made.append(name)
        return task(name=name, **options)(function)

    yield declare
    for name in made:
        del registry.tasks._tasks[name]


def of(name: str) -> str:
    return f"{ENQUEUE}?{urlencode({'task': name})}"


def send(page: Client, name: str, **said: Any) -> Any:
    return page.post(of(name), said)


def fields(**arguments: Any) -> dict[str, Any]:
    return {PREFIX + name: value for name, value in arguments.items()}


def sent() -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of the one task that was sent."""
    order = TaskResult.objects.get().order()
    assert order is not None
    return order.args, dict(order.kwargs)


def said_of(html: str, field: str) -> str:
    """The errors that stand at a field."""
    found = re.search(rf'<ul class="errorlist" id="id_{field}_error">(.*?)</ul>', html, re.DOTALL)
    return re.sub(r"<[^>]+>", " ", found[1]).strip() if found else ""


def clerk(client: Client, *permissions: str) -> Client:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return client


# -- choosing


def test_the_list_of_tasks_leads_to_it(page: Client) -> None:
    assert f'href="{ENQUEUE}"' in page.get(TASKS).text


def test_the_projects_tasks_are_chosen_among_and_none_of_ours(page: Client) -> None:
    html = page.get(ENQUEUE).text

    assert f'<option value="{note.name}">' in html
    assert "django_tasks.ping" in registry.tasks
    assert not re.findall(r'<option value="(?:django_tasks|celery)\.', html)


@pytest.mark.parametrize("name", ["django_tasks.ping", "celery.ping", "no.such", "", "\x00"])
def test_what_is_not_among_them_is_refused_and_not_sent(page: Client, name: str) -> None:
    html = send(page, name).text

    assert said_of(html, "task")
    assert not TaskResult.objects.exists()


def test_to_look_at_a_task_neither_runs_nor_sends_it(page: Client, declare: Declare) -> None:
    ran: list[str] = []

    def pay(order: str = "") -> None:
        ran.append(order)

    name = declare(pay).name

    page.get(ENQUEUE)
    page.get(of(name), fields(order="1"))
    send(page, name, due="soon")

    assert not ran
    assert not TaskResult.objects.exists()


# -- filling in


def test_each_parameter_has_a_field_of_its_kind(page: Client, declare: Declare) -> None:
    def pay(name: str, number: int, share: float, is_new: bool, rest: list[int], limit: int | None) -> None:
        """Takes one of each."""

    html = page.get(of(declare(pay).name)).text

    kinds = {
        name: re.search(rf'<(?:input type="(\w+)"|(\w+))[^>]* name="{PREFIX}{name}"', html)
        for name in ("name", "number", "share", "is_new", "rest", "limit")
    }
    assert {name: found and (found[1] or found[2]) for name, found in kinds.items()} == {
        "name": "text",
        "number": "number",
        "share": "number",
        "is_new": "select",
        "rest": "textarea",
        "limit": "number",
    }
    assert "If empty: None" in html


def test_kinds_are_known_where_an_annotation_is_for_type_checkers_only(
    declare: Declare, page: Client
) -> None:
    def pay(number: int, amount: Decimal) -> None:
        """`Decimal` is not there when this runs."""

    html = page.get(of(declare(pay).name)).text

    assert re.search(rf'<input type="number"[^>]* name="{PREFIX}number"', html)
    assert re.search(rf'<textarea[^>]* name="{PREFIX}amount"', html)


def test_defaults_are_shown_and_what_is_required_is_marked(page: Client, declare: Declare) -> None:
    def pay(order: int, currency: str = "EUR") -> None:
        """One that must be given, and one that may."""

    html = page.get(of(declare(pay).name)).text

    assert "If empty: &#x27;EUR&#x27;" in html
    assert html.count('<div class="required">') == 1
    assert re.search(rf'name="{PREFIX}order"[^>]* required', html)


def test_what_is_given_is_sent_and_what_is_left_empty_is_left_out(page: Client, declare: Declare) -> None:
    def pay(
        order: int, share: float, *, name: str, is_new: bool = True, more: Any = None, at: int = 3
    ) -> None:
        """Some by place, some by name."""

    paid = declare(pay)
    said = fields(order="42", share="0.5", name=" Ada ", is_new="false", more='{"a": [1, null]}', at="")

    answer = send(page, paid.name, **said)

    row = TaskResult.objects.get()
    assert answer.url == reverse("admin:django_tasks_taskresult_change", args=[row.id])
    given = {"order": 42, "share": 0.5, "name": " Ada ", "is_new": False, "more": {"a": [1, None]}}
    assert sent() == ((), given)


def test_what_can_only_be_given_by_place_is(page: Client, declare: Declare) -> None:
    def pay(order: int, currency: str = "EUR", limit: int = 7, /, note: str = "") -> None:
        """Names in vain."""

    send(page, declare(pay).name, **fields(order="1", currency="", limit="9", note="x"))

    assert sent() == ((1, "EUR", 9), {"note": "x"})


def test_an_empty_list_and_null_are_values(page: Client, declare: Declare) -> None:
    def pay(orders: list[int], limit: Any = 5) -> None:
        """Neither is nothing."""

    send(page, declare(pay).name, **fields(orders="[]", limit="null"))

    assert sent() == ((), {"orders": [], "limit": None})


def test_none_is_sent_where_it_must_be_said_and_nothing_else_is(page: Client, declare: Declare) -> None:
    def pay(limit: int | None) -> None:
        """None has no default, and may be none."""

    send(page, declare(pay).name, **fields(limit=""))

    assert sent() == ((), {"limit": None})


def test_a_parameter_may_be_called_as_our_own_fields_are(page: Client, declare: Declare) -> None:
    def pay(due: str, queue: str, self: str = "", csrfmiddlewaretoken: str = "") -> None:
        """Names that are taken elsewhere."""

    send(page, declare(pay).name, **fields(due="a", queue="b"))

    assert sent() == ((), {"due": "a", "queue": "b"})


def test_the_task_itself_is_not_asked_for(page: Client, declare: Declare) -> None:
    def pay(self: Any, order: int) -> None:
        """Bound."""

    bound = declare(pay, bind=True)

    assert f'name="{PREFIX}self"' not in page.get(of(bound.name)).text
    send(page, bound.name, **fields(order="1"))
    assert sent() == ((), {"order": 1})


def test_a_task_that_takes_anything_is_asked_for_json(page: Client, declare: Declare) -> None:
    def pay(*orders: int, **more: Any) -> None:
        """What it does not name."""

    paid = declare(pay)
    html = page.get(of(paid.name)).text

    assert "Positional arguments" in html
    send(page, paid.name, args="[1, 2]", kwargs='{"name": "Ada"}')
    assert sent() == ((1, 2), {"name": "Ada"})


@pytest.mark.parametrize(
    ("field", "text", "told"),
    [
        ("args", "{}", ""),
        ("args", '{"a": 1}', "Positional arguments are a list."),
        ("args", "[1", "Enter a valid JSON."),
        ("kwargs", "[1]", "Keyword arguments are an object."),
        ("kwargs", '{"at": {"__type__": "datetime", "__value__": "never"}}', "isoformat"),
    ],
)
def test_json_that_is_no_call_is_told_at_its_field(
    page: Client, declare: Declare, field: str, text: str, told: str
) -> None:
    def pay(*orders: int, **more: Any) -> None:
        """What it does not name."""

    html = send(page, declare(pay).name, **{field: text}).content.decode()

    assert told in said_of(html, field)
    assert TaskResult.objects.exists() == (not told)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("order", ""),
        ("order", "many"),
        ("share", "half"),
        ("is_new", "perhaps"),
        ("rest", "{"),
        ("rest", " "),
    ],
)
def test_bad_input_is_told_at_the_field_and_nothing_is_sent(
    page: Client, declare: Declare, name: str, text: str
) -> None:
    def pay(order: int, share: float, is_new: bool, rest: dict[str, Any]) -> None:
        """One of each kind."""

    good = {"order": "1", "share": "1", "is_new": "true", "rest": "{}"}

    html = send(page, declare(pay).name, **fields(**{**good, name: text})).text

    assert said_of(html, PREFIX + name)
    assert not [other for other in good if other != name and said_of(html, PREFIX + other)]
    assert "Please correct what is below." in html
    assert not TaskResult.objects.exists()
    assert not LogEntry.objects.exists()


def test_what_the_form_cannot_know_is_told_by_the_form(page: Client, declare: Declare) -> None:
    """It is refused where the task is sent."""

    def pay(order: Any = object) -> None:
        """Nobody can write that down."""

    def by_place(order: Any = object, name: str = "", /) -> None:
        """Sent if something comes behind it."""

    html = send(page, declare(by_place).name, **fields(name="x")).text

    assert "errorlist nonfield" in html
    assert not TaskResult.objects.exists()


# -- when and where


def test_it_can_be_sent_for_later_and_elsewhere(page: Client) -> None:
    due = (clock.now() + dt.timedelta(days=2)).replace(microsecond=0)
    local = timezone.make_naive(due)

    send(page, note.name, due=local.isoformat(), queue="other")

    message = QueuedMessage.objects.get()
    assert (message.state, message.queue) == ("parked", "other")
    assert clock.from_storage(message.deliver_at) == due
    assert TaskResult.objects.get().queue == "other"


@pytest.mark.parametrize("due", ["2000-01-01T00:00", "soon"])
def test_a_moment_that_is_past_or_none_is_told_at_its_field(page: Client, due: str) -> None:
    assert said_of(send(page, note.name, due=due).text, "due")
    assert not TaskResult.objects.exists()


def test_a_queue_that_is_not_declared_is_told_at_its_field(page: Client) -> None:
    assert said_of(send(page, note.name, queue="othr").text, "queue")
    assert not TaskResult.objects.exists()


# -- what becomes of it


def test_it_is_written_down_with_the_task_that_was_sent(page: Client) -> None:
    send(page, note.name)

    entry, row = LogEntry.objects.get(), TaskResult.objects.get()
    assert (entry.object_id, entry.object_repr, entry.action_flag) == (row.id, str(row), ADDITION)
    assert entry.user.get_username() == "boss"
    html = page.get(reverse("admin:django_tasks_audit")).text
    assert "enqueue" in html
    assert row.id in html


def test_a_task_of_which_nothing_is_stored_leads_back_to_the_list(page: Client, declare: Declare) -> None:
    def forget() -> None:
        """Fire, and forget."""

    answer = send(page, declare(forget, ignore_result=True).name)

    assert answer.url == TASKS
    assert QueuedMessage.objects.count() == 1


def test_one_who_may_send_and_not_see_stays_where_he_is(client: Client, db: None) -> None:
    answer = send(clerk(client, "enqueue_task"), note.name)

    assert answer.url == ENQUEUE
    assert TaskResult.objects.count() == 1


def test_it_takes_a_permission_of_its_own(client: Client, db: None) -> None:
    others = Permission.objects.filter(content_type__app_label="django_tasks").exclude(
        codename="enqueue_task"
    )
    looking = clerk(client, *others.values_list("codename", flat=True))

    assert ENQUEUE not in looking.get(TASKS).text
    assert looking.get(ENQUEUE).status_code == 403
    assert send(looking, note.name).status_code == 403
    assert not TaskResult.objects.exists()


def test_who_is_no_member_of_the_staff_sends_nothing(client: Client, db: None) -> None:
    user = User.objects.create_user("customer")
    user.user_permissions.set(Permission.objects.filter(codename="enqueue_task"))
    client.force_login(user)

    assert send(client, note.name).status_code == 302
    assert not TaskResult.objects.exists()


def test_a_form_of_another_site_sends_nothing(db: None) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("boss"))

    assert send(client, note.name).status_code == 403
    assert not TaskResult.objects.exists()


def test_a_secret_never_comes_back(page: Client, declare: Declare, settings: Settings) -> None:
    def pay(order: int, password: str, token: Any = "s3cret") -> None:
        """Two of these are nobody's business."""

    settings.DJANGO_TASKS = {"REDACT": ["password", "token"]}
    paid = declare(pay)

    html = send(page, paid.name, **fields(order="many", password="h4rd", token='"t0ken"')).text
    send(page, paid.name, **fields(order="1", password="h4rd"))

    assert not [word for word in ("s3cret", "h4rd", "t0ken") if word in html]
    assert "If empty: ********" in html
    assert sent() == ((), {"order": 1, "password": "h4rd"})
    assert "h4rd" not in str(LogEntry.objects.values())


def test_hostile_text_is_text(page: Client, declare: Declare) -> None:
    def pay(order: str = HOSTILE, number: int = 1) -> None:
        """A default and what somebody typed."""

    name = declare(pay).name

    html = page.get(of(name)).text + send(page, name, **fields(order=HOSTILE, number=HOSTILE)).text

    assert HOSTILE not in html
    assert "&lt;script&gt;" in html
    assert HOSTILE not in page.get(of(HOSTILE)).text


def test_the_pages_ask_the_database_for_nothing_but_the_user(
    page: Client, django_assert_num_queries: Any
) -> None:
    for url in (ENQUEUE, of(note.name)):
        with django_assert_num_queries(1):
            page.get(url)


def test_each_registered_task_has_a_form(page: Client) -> None:
    for name in tasks():
        assert page.get(of(name)).status_code == 200, name
    assert echo.name in tasks()
