"""The admin's pages in a real browser: under a strict policy, by keyboard, in the dark and on a phone."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.urls import NoReverseMatch, reverse
from selenium.webdriver.common.keys import Keys

from django_tasks import app
from django_tasks.admin.tabs import TABS
from django_tasks.models import QueuedMessage, QueuePause, TaskGroup, TaskResult, Worker
from tests.ledger.tasks import note
from tests.workers import ROOT, eventually

from .driver import DESK, PHONE, Browser

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("rows")]

#: Pictures of the last run, to be looked at.
PICTURES = ROOT / ".screenshots"
QUEUES = reverse("admin:django_tasks_queues")
ENQUEUE = reverse("admin:django_tasks_enqueue")


def pages_of_tabs() -> Iterator[str]:
    """The keys of those that there are."""
    for tab in TABS:
        with contextlib.suppress(NoReverseMatch):
            reverse(f"admin:{tab.name}")
            yield tab.key


DETAILS: dict[str, Callable[[], str]] = {
    "task": lambda: row_of(TaskResult.objects.with_status("FAILURE").first()),
    "group": lambda: row_of(TaskGroup.objects.first()),
    "message": lambda: row_of(QueuedMessage.objects.aside().first()),
    "worker": lambda: row_of(Worker.objects.order_by("id").first()),
    "queue": lambda: reverse("admin:django_tasks_queue", args=["default"]),
    "queue-course": lambda: reverse("admin:django_tasks_queue", args=["default"]) + "?period=24h",
    "enqueue": lambda: ENQUEUE,
    "enqueue-one": lambda: f"{ENQUEUE}?task={note.name}",
}


def row_of(row: Any) -> str:
    return reverse(f"admin:django_tasks_{row._meta.model_name}_change", args=[row.pk])


def path_of(page: str) -> str:
    if page in DETAILS:
        return DETAILS[page]()
    (tab,) = (tab for tab in TABS if tab.key == page)
    return reverse(f"admin:{tab.name}")


PAGES = pytest.mark.parametrize("page", [*pages_of_tabs(), *DETAILS])


@PAGES
def test_a_page_is_in_order(browser: Browser, site: str, page: str) -> None:
    """No word of complaint in the console, nothing that keeps anybody out, and nothing beyond the edge of a phone."""
    browser.go(site + path_of(page))
    assert browser.there(".tasks-tabs .tasks-current")
    assert browser.complaints() == []
    light = browser.violations("#content")

    for look, is_dark, size in (("light", False, DESK), ("dark", True, DESK), ("phone", False, PHONE)):
        browser.look(is_dark=is_dark, size=size)
        browser.save_picture(PICTURES / f"{page}-{look}.png")
    assert not browser.overflows()
    browser.look(is_dark=True, size=DESK)
    dark = browser.violations("#content")

    assert (light, dark) == ([], [])
    assert browser.complaints() == []


def test_a_page_keeps_itself_up_to_date(browser: Browser, site: str) -> None:
    browser.go(site + QUEUES)
    browser.find("[data-tasks-live-interval] option[value='2']").click()
    browser.find("[data-tasks-live-pause]").click()  # the select had the focus
    browser.find("[data-tasks-live-pause]").click()

    app.control.pause_queue("third", "somebody else did")

    browser.comes("somebody else did")
    assert browser.complaints() == []


def test_what_is_paused_stands_still_until_it_is_resumed(browser: Browser, site: str) -> None:
    browser.go(site + QUEUES)
    pause = browser.find("[data-tasks-live-pause]")

    pause.click()
    app.control.pause_queue("third", "somebody else did")
    assert browser.find("[data-tasks-live-status]").text == "Paused"
    pause.click()

    browser.comes("somebody else did")


def test_a_queue_is_paused_by_keyboard_alone(browser: Browser, site: str) -> None:
    browser.go(site + QUEUES)

    browser.tab_to(".tasks-deeds button[value='default']")
    browser.press(Keys.ENTER)
    browser.comes("Until")
    browser.tab_to("#id_reason")
    browser.press("repairs", Keys.ENTER)

    browser.comes("No worker takes from default any more.")
    assert QueuePause.objects.get(queue="default").reason == "repairs"
    assert browser.driver.current_url == site + QUEUES


def test_a_task_is_sent_by_keyboard_alone(browser: Browser, site: str) -> None:
    """Chosen, filled in wrongly, told so, filled in rightly, and looked at."""
    browser.go(site + ENQUEUE)

    browser.tab_to("#id_task")
    browser.press(note.name)
    browser.tab_to("button.tasks-main")
    browser.press(Keys.ENTER)
    browser.comes("If empty: 0")
    browser.tab_to("#id_argument-number")
    browser.press("1.5")
    browser.driver.execute_script("document.querySelector('.tasks-confirm').noValidate = true")
    browser.tab_to("button.tasks-main")
    browser.press(Keys.ENTER)
    browser.comes("Please correct what is below.")
    wrong = browser.violations("#content")
    browser.go(f"{site}{ENQUEUE}?task={note.name}")
    browser.tab_to("#id_argument-number")
    browser.press("7", Keys.ENTER)
    browser.comes("Sent as task")

    row = TaskResult.objects.get(task=note.name)
    assert browser.driver.current_url == site + row_of(row)
    assert wrong == []
    assert browser.complaints() == []


def test_a_view_is_saved_and_deleted_by_keyboard_alone(browser: Browser, site: str) -> None:
    tasks = reverse("admin:django_tasks_taskresult_changelist")
    browser.go(f"{site}{tasks}?status=FAILURE")

    browser.tab_to(".tasks-save input[name=name]")
    browser.press("What failed", Keys.ENTER)
    browser.comes("Saved as What failed.")
    browser.save_picture(PICTURES / "tasks-saved-view.png")
    saved = browser.violations("#content")
    browser.tab_to(".tasks-views button")
    browser.press(Keys.ENTER)
    browser.comes("Deleted: What failed.")

    assert browser.driver.current_url == f"{site}{tasks}?status=FAILURE"
    assert not browser.there(".tasks-views")
    assert saved == []
    assert browser.complaints() == []


def test_the_first_tabs_reach_the_bar_and_a_slash_the_search(browser: Browser, site: str) -> None:
    browser.go(site + reverse("admin:django_tasks_taskresult_changelist"))

    browser.press("/")
    assert browser.driver.switch_to.active_element.get_attribute("id") == "searchbar"
    browser.go(site + QUEUES)
    browser.tab_to(".tasks-tabs a.tasks-current")


def test_moments_are_shown_in_the_zone_that_was_chosen(browser: Browser, site: str) -> None:
    with browser.in_zone("Asia/Tokyo"):
        browser.go(site + path_of("task"))
        written = browser.find("time[data-tasks-exact]").text
        browser.find("[data-tasks-zone] option[value='local']").click()
        browser.go(site + path_of("task"))

        shown = browser.find("time[data-tasks-exact]").text
        assert shown.endswith("+09:00")
        assert dt.datetime.fromisoformat(shown) == dt.datetime.fromisoformat(written)
        browser.find("[data-tasks-zone] option[value='']").click()
        assert browser.find("time[data-tasks-exact]").text == written


def test_what_is_refreshed_is_shown_in_the_chosen_zone_too(browser: Browser, site: str) -> None:
    with browser.in_zone("Asia/Tokyo"):
        browser.go(site + QUEUES)
        browser.find("[data-tasks-live-interval] option[value='2']").click()
        browser.find("[data-tasks-zone] option[value='local']").click()

        app.control.pause_queue("third", "somebody else did")

        browser.comes("somebody else did")
        titles = browser.titles_of("[data-tasks-live] time")
        assert titles
        assert all(title.endswith("+09:00") for title in titles)


def test_a_click_on_an_id_copies_it(browser: Browser, site: str) -> None:
    browser.go(site + path_of("tasks"))
    browser.find("[data-tasks-live-pause]").click()  # nothing moves meanwhile
    id = browser.find(".tasks-id")
    whole = id.get_attribute("data-tasks-copy")

    id.click()

    eventually(lambda: browser.there(".tasks-id.tasks-copied"), "it says that it is copied")
    browser.find("#searchbar").click()
    browser.chord(Keys.CONTROL, "v")
    assert browser.find("#searchbar").get_attribute("value") == whole
    assert browser.driver.current_url == site + path_of("tasks")


def test_without_javascript_the_pages_work(site: str, browser: Browser) -> None:
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.go(site + QUEUES)
        browser.find(".tasks-deeds button[value='other']").click()
        eventually(lambda: not QueuePause.objects.filter(queue="other").exists(), "it is resumed")
        assert browser.find("[data-tasks-live-refresh]").is_displayed()
        assert not browser.find("[data-tasks-zone]").is_displayed()
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
