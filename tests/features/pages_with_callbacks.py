"""EXM-05, what a guide calls good: each task sends the next one, which it was given."""

from __future__ import annotations

from django_tasks import subtask, task

from .pages import PageInfo, myhttplib, myparser


@task(ignore_result=True)
def update_page_info(url):
    # fetch_page -> parse_page -> store_page
    fetch_page.delay(url, callback=subtask(parse_page, callback=subtask(store_page_info)))


@task(ignore_result=True)
def fetch_page(url, callback=None):
    page = myhttplib.get(url)
    if callback:
        # The callback may have been serialized with JSON,
        # so best practice is to convert the subtask dict back
        # into a subtask object.
        subtask(callback).delay(url, page)


@task(ignore_result=True)
def parse_page(url, page, callback=None):
    info = myparser.parse_document(page)
    if callback:
        subtask(callback).delay(url, info)


@task(ignore_result=True)
def store_page_info(url, info):
    PageInfo.objects.create(url, info)
