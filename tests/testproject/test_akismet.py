"""The client, against the real stub over HTTP."""

from __future__ import annotations

import socket

import pytest

from testproject.akismet_stub import AkismetStub
from testproject.blog.akismet import Akismet, AkismetError


def client(stub: AkismetStub, *, key: str | None = None, timeout: float = 5.0) -> Akismet:
    return Akismet(key or stub.key, "http://example.com", url=stub.url, timeout=timeout)


def check(akismet: Akismet, text: str, *, author: str = "Alex") -> bool:
    return akismet.comment_check(
        user_ip="192.0.2.1",
        comment_content=text,
        comment_author=author,
        comment_author_email="alex@example.com",
    )


def test_the_right_key_is_accepted(akismet_stub: AkismetStub) -> None:
    assert client(akismet_stub).verify_key() is True


def test_a_wrong_key_is_refused(akismet_stub: AkismetStub) -> None:
    assert client(akismet_stub, key="wrong").verify_key() is False


@pytest.mark.parametrize(
    ("text", "author", "spam"),
    [
        ("Thank you, that helped.", "Alex", False),
        ("Thank you, that helped.", "viagra-test-123", True),
        ("The best Casino in town & 100 % sure, 你好", "Alex", True),
    ],
)
def test_a_comment_is_spam_by_its_words_or_its_author(
    akismet_stub: AkismetStub, text: str, author: str, spam: bool
) -> None:
    assert check(client(akismet_stub), text, author=author) is spam


def test_each_check_is_counted_by_its_text(akismet_stub: AkismetStub) -> None:
    for text in ("one", "two", "two"):
        check(client(akismet_stub), text)

    assert akismet_stub.checks == {"one": 1, "two": 2}


def test_a_comment_without_an_address_can_be_checked(akismet_stub: AkismetStub) -> None:
    spam = client(akismet_stub).comment_check(
        user_ip=None, comment_content="Hello", comment_author="Alex", comment_author_email="alex@example.com"
    )

    assert spam is False


@pytest.mark.parametrize(
    ("text", "key", "complaint"),
    [
        ("Akismet is down", None, r"comment-check answered HTTP 500"),
        ("Akismet is confused", None, r"comment-check answered 'Maintenance', not 'true' or 'false'"),
        ("Hello", "wrong", r"comment-check answered 'invalid', not 'true' or 'false'"),
    ],
)
def test_an_answer_of_no_use_is_an_error_that_quotes_it(
    akismet_stub: AkismetStub, text: str, key: str | None, complaint: str
) -> None:
    with pytest.raises(AkismetError, match=complaint):
        check(client(akismet_stub, key=key), text)


def test_silence_is_an_error_after_the_timeout(akismet_stub: AkismetStub) -> None:
    with pytest.raises(AkismetError, match=r"did not answer within 0\.2 s"):
        check(client(akismet_stub, timeout=0.2), "Akismet is silent")


def test_nobody_there_is_an_error_that_names_the_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/1.1"

    with pytest.raises(AkismetError, match=rf"can't be reached at {url}"):
        Akismet("key", "http://example.com", url=url).verify_key()


def test_an_unknown_address_of_the_service_is_an_error(akismet_stub: AkismetStub) -> None:
    akismet = Akismet(akismet_stub.key, "http://example.com", url=f"{akismet_stub.url}/nowhere")

    with pytest.raises(AkismetError, match="HTTP 404"):
        akismet.verify_key()
