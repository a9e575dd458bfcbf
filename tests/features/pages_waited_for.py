"""EXM-05, what a guide calls bad: a task that waits for other tasks."""

from __future__ import annotations

from django_tasks import task

from .pages import PageInfo, myhttplib, myparser


@task
def update_page_info(url):
    page = fetch_page.delay(url).get()
    info = parse_page.delay(url, page).get()
    store_page_info.delay(url, info)


@task
def fetch_page(url):
    return myhttplib.get(url)


@task
def parse_page(url, page):
    return myparser.parse_document(page)


@task
def store_page_info(url, info):
    return PageInfo.objects.create(url, info)
