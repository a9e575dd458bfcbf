"""EXM-04: a page is fetched, parsed and stored by a chain, as a guide has it."""

from __future__ import annotations

from django_tasks import app

from .pages import PageInfo, myhttplib, myparser


def update_page_info(url):
    # fetch_page -> parse_page -> store_page
    chain = fetch_page.s(url) | parse_page.s() | store_page_info.s(url)
    return chain()  # the guide does not return it


@app.task()
def fetch_page(url):
    return myhttplib.get(url)


@app.task()
def parse_page(page):
    return myparser.parse_document(page)


@app.task(ignore_result=True)
def store_page_info(info, url):
    PageInfo.objects.create(url=url, info=info)
