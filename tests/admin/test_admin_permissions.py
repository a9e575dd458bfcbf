"""Who may see and do what: each page and each action of our part of the admin beside each permission there is.

Both are read from the URLs. What is added later without being written down here fails, and so does what has been given
away with a permission that is meant for something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from django_tasks.admin.tabs import SEE_LOG

from .addresses import Address, actions, addresses, of_row

APP = "django_tasks"
CODENAMES = sorted(
    {
        codename
        for model in apps.get_app_config(APP).get_models()
        for codename in (
            *(f"{verb}_{model._meta.model_name}" for verb in model._meta.default_permissions),
            *(codename for codename, _ in model._meta.permissions),
        )
    }
    | {SEE_LOG.partition(".")[2]}
)
#: As Django has it, who may change a row may see it. Nobody may change one, whatever they are given.
SEES = {
    model: {f"view_{model}", f"change_{model}"}
    for model in ("taskresult", "taskgroup", "queuedmessage", "worker")
}
NOBODY: set[str] = set()
#: Pages, and the permissions of which one is enough.
MAY_SEE = {
    "overview": {"view_taskresult"},
    "failures": {"view_taskresult"},
    "performance": {"view_taskresult"},
    "queues": {"view_queuedmessage"},
    "queue": {"view_queuedmessage"},
    "workers": {"view_worker"},
    "audit": {"view_logentry"},
    "enqueue": {"enqueue_task"},
    "taskresult_raw": SEES["taskresult"],
    # The page of the menu, which leads to the overview.
    "overview_changelist": {"view_taskresult"},
    # These are our own pages, in the place of Django's.
    "worker_changelist": {"view_worker"},
    "worker_change": {"view_worker"},
    "worker_history": SEES["worker"],
    **{
        f"{model}_{page}": SEES[model]
        for model in ("taskresult", "taskgroup", "queuedmessage")
        for page in ("changelist", "change", "history")
    },
    **{f"{model}_{page}": NOBODY for model in SEES for page in ("add", "delete")},
}
#: Parts of pages that take a permission besides that of the page.
PART_TAKES = {
    ("overview", "queues"): {"view_queuedmessage"},
    ("overview", "workers"): {"view_worker"},
}
#: What is asked by POST, and the permissions of which all are needed.
MAY_DO = {
    ("taskresult", "retry"): {"retry_task"},
    ("taskresult", "edit"): {"retry_task", "view_payload"},
    ("taskresult", "run_now"): {"reschedule_task"},
    ("taskresult", "reschedule"): {"reschedule_task"},
    ("taskresult", "move"): {"reschedule_task"},
    ("taskresult", "cancel"): {"cancel_task"},
    ("taskresult", "stop"): {"cancel_task"},
    ("taskresult", "delete"): {"delete_taskresult"},
    ("failures", "retry"): {"retry_task"},
    ("failures", "acknowledge"): {"change_failuregroup"},
    ("failures", "mute"): {"change_failuregroup"},
    ("failures", "unmute"): {"change_failuregroup"},
    ("failures", "discard"): {"delete_taskresult"},
    ("queues", "pause"): {"pause_queue"},
    ("queues", "resume"): {"pause_queue"},
    ("queues", "purge"): {"purge_queue"},
    ("queues", "move"): {"move_task"},
    ("queuedmessage", "replay"): {"replay_message"},
    ("queuedmessage", "discard"): {"replay_message"},
    ("workers", "kill"): {"kill_task"},
    ("worker", "drain"): {"stop_worker"},
    ("worker", "stop"): {"stop_worker"},
    ("views", "save_view"): {"view_taskresult"},
    ("views", "delete_view"): {"view_taskresult"},
}
#: It answers with a file, and only to POST.
EXPORT = "taskresult_export"


def short(name: str) -> str:
    return name.removeprefix("django_tasks_")


@pytest.fixture
def keys(make_task: Any, make_message: Any, make_group: Any, make_worker: Any) -> dict[str, dict[str, str]]:
    """What the parameters of addresses stand for."""
    rows = (make_task(), make_message(), make_group(), make_worker())
    queue = {"django_tasks_queue": {"queue": "default"}}
    return queue | {name: given for row in rows for name, given in of_row(row).items()}


def browser_of(codenames: Iterable[str]) -> Client:
    """Of somebody who may do just this."""
    user = User.objects.create_user("clerk", is_staff=True)
    given = Permission.objects.filter(
        content_type__app_label__in=(APP, "admin"), codename__in=list(codenames)
    )
    user.user_permissions.set(given)
    client = Client()
    client.force_login(user)
    return client


def seen(client: Client, keys: dict[str, dict[str, str]]) -> set[str]:
    """The pages that are not refused."""
    found = set()
    for address in addresses():
        if address.is_action or short(address.name) == EXPORT:
            continue
        answer = client.get(address.path(**keys.get(address.name, {})), follow=True)
        assert answer.status_code in (200, 403), address.name
        if answer.status_code != 403:
            found.add(short(address.name))
    return found


def parts() -> Iterator[tuple[Address, str]]:
    """What can be asked for of a page by itself."""
    names = {"changelist_view": "list_fragments", "change_view": "detail_fragments"}
    for address in addresses():
        if not address.is_action:
            for part in getattr(address.owner, names.get(address.view, "fragments"), ()):
                yield address, part


def parts_seen(client: Client, keys: dict[str, dict[str, str]]) -> set[tuple[str, str]]:
    """The parts of pages that are answered."""
    return {
        (short(address.name), part)
        for address, part in parts()
        if client.get(address.path(**keys.get(address.name, {})), {"_fragment": part}).status_code == 200
    }


def done(client: Client) -> set[tuple[str, str]]:
    """The actions that are not refused; with nothing chosen, nothing is done."""
    found = set()
    for name, action, path in actions():
        answer = client.post(path)
        assert answer.status_code in (302, 403), (name, action)
        if answer.status_code == 302:
            found.add((short(name).removesuffix("_action"), action))
    return found


@pytest.mark.django_db
@pytest.mark.parametrize("codename", CODENAMES)
def test_a_permission_shows_the_pages_and_does_the_actions_that_it_is_meant_for_and_no_others(
    codename: str, keys: dict[str, dict[str, str]]
) -> None:
    client = browser_of([codename])

    assert seen(client, keys) == {page for page, several in MAY_SEE.items() if codename in several}
    assert done(client) == {action for action, needed in MAY_DO.items() if needed == {codename}}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "codenames",
    [
        (),
        ("view_queuedmessage",),
        ("view_worker",),
        ("view_taskresult",),
        ("view_taskresult", "view_queuedmessage"),
        ("view_taskresult", "view_worker"),
    ],
    ids=" ".join,
)
def test_a_part_of_a_page_is_for_those_to_whom_the_page_shows_it(
    codenames: tuple[str, ...], keys: dict[str, dict[str, str]]
) -> None:
    client = browser_of(codenames)

    assert parts_seen(client, keys) == {
        (page, part)
        for page, part in ((short(address.name), part) for address, part in parts())
        if MAY_SEE[page].intersection(codenames) and PART_TAKES.get((page, part), set()).issubset(codenames)
    }


@pytest.mark.django_db
def test_without_any_permission_there_is_nothing_to_see_or_to_do(keys: dict[str, dict[str, str]]) -> None:
    client = browser_of([])

    assert (seen(client, keys), done(client)) == (set(), set())


@pytest.mark.django_db
@pytest.mark.parametrize("missing", sorted({codename for needed in MAY_DO.values() for codename in needed}))
def test_an_action_is_refused_to_who_may_do_everything_but_this(missing: str) -> None:
    client = browser_of(set(CODENAMES) - {missing})

    assert done(client) == {action for action, needed in MAY_DO.items() if missing not in needed}


def test_every_page_and_every_action_is_written_down_here() -> None:
    pages = {short(address.name) for address in addresses() if not address.is_action}

    assert pages == {*MAY_SEE, EXPORT}
    assert {(short(name).removesuffix("_action"), action) for name, action, _ in actions()} == MAY_DO.keys()


@pytest.mark.django_db
@pytest.mark.parametrize("codename", ["view_taskresult", "change_taskresult", "view_payload", "view_worker"])
def test_tasks_are_exported_for_who_may_see_them(codename: str) -> None:
    answer = browser_of([codename]).post(
        reverse("admin:django_tasks_taskresult_export"), {"everything": "1", "format": "csv"}
    )

    assert answer.status_code == (200 if codename in SEES["taskresult"] else 403)


@pytest.mark.django_db
@pytest.mark.parametrize("codename", [None, "replay_message", "view_queuedmessage", "retry_task"])
def test_the_actions_of_djangos_list_of_messages_have_the_same_permission(
    codename: str | None, make_message: Any
) -> None:
    message = make_message(state="aside", reason="unknown task")
    client = browser_of(["view_queuedmessage", *([codename] if codename else [])])

    for action in ("discard", "replay"):
        client.post(
            reverse("admin:django_tasks_queuedmessage_changelist"),
            {"action": action, "_selected_action": [message.pk], "confirmed": "1"},
        )

    assert type(message).objects.aside().count() == (0 if codename == "replay_message" else 1)


@pytest.mark.django_db
def test_who_is_no_member_of_the_staff_sees_and_does_nothing(keys: dict[str, dict[str, str]]) -> None:
    client = Client()
    user = User.objects.create_user("customer")
    user.user_permissions.set(Permission.objects.all())
    client.force_login(user)

    login = reverse("admin:login")
    for address in addresses():
        path = address.path(**{"name": "retry", **keys.get(address.name, {})})
        for answer in (client.get(path), client.post(path)):
            assert answer.status_code == 302
            assert answer.headers["Location"].startswith(login), address.name
