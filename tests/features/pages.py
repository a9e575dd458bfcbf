"""What the guides fetch, parse and store pages with, and leave undefined: small stand-ins."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.ledger.models import Article


class myhttplib:  # noqa: N801 - the guides' name
    @staticmethod
    def get(url: str) -> str:
        return f"<title>{url}</title>"


class myparser:  # noqa: N801 - the guides' name
    @staticmethod
    def parse_document(page: str) -> dict[str, Any]:
        return {"title": page.removeprefix("<title>").removesuffix("</title>")}


def _create(url: str, info: dict[str, Any]) -> None:
    Article.objects.create(title=url, body=info["title"])


PageInfo = SimpleNamespace(objects=SimpleNamespace(create=_create))
