from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from testproject.akismet_stub import AkismetStub

if TYPE_CHECKING:
    from pytest_django import Settings


@pytest.fixture
def akismet_stub(settings: Settings) -> Iterator[AkismetStub]:
    """A running stub that the blog's settings point to."""
    with AkismetStub() as stub:
        settings.AKISMET_URL, settings.AKISMET_KEY = stub.url, stub.key
        yield stub
