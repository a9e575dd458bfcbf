"""The task's body, called directly."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
from django.core.exceptions import ImproperlyConfigured

from testproject.akismet_stub import AkismetStub
from testproject.blog.akismet import Akismet, AkismetError
from testproject.blog.models import Comment
from testproject.blog.tasks import spam_filter

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.django_db


def comment(text: str) -> Comment:
    return Comment.objects.create(name="Alex", email_address="alex@example.com", comment=text)


def test_spam_is_marked(akismet_stub: AkismetStub) -> None:
    """FEATURES EXM-15."""
    spam = comment("Cheap pills!")

    assert spam_filter(comment_id=spam.pk, remote_addr="192.0.2.1") is True

    spam.refresh_from_db()
    assert spam.is_spam is True


def test_ham_stays_as_it_is(akismet_stub: AkismetStub) -> None:
    ham = comment("Thank you.")

    assert spam_filter(comment_id=ham.pk) is False

    ham.refresh_from_db()
    assert ham.is_spam is False


def test_an_edit_made_during_the_check_is_kept(
    akismet_stub: AkismetStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    spam = comment("Cheap pills!")

    def check_while_somebody_edits(akismet: Akismet, **fields: str) -> bool:
        Comment.objects.filter(pk=spam.pk).update(name="Robin")
        return True

    monkeypatch.setattr(Akismet, "comment_check", check_while_somebody_edits)
    spam_filter(comment_id=spam.pk)

    spam.refresh_from_db()
    assert (spam.name, spam.is_spam) == ("Robin", True)


def test_an_invalid_key_is_a_configuration_error(akismet_stub: AkismetStub, settings: Settings) -> None:
    """FEATURES EXM-15."""
    settings.AKISMET_KEY = "wrong"
    ham = comment("Thank you.")

    with pytest.raises(ImproperlyConfigured, match="Invalid AKISMET_KEY"):
        spam_filter(comment_id=ham.pk)

    assert not akismet_stub.checks


def test_a_failing_service_leaves_the_comment_alone(akismet_stub: AkismetStub) -> None:
    unlucky = comment("Akismet is down, and cheap pills.")

    with pytest.raises(AkismetError):
        spam_filter(comment_id=unlucky.pk)

    unlucky.refresh_from_db()
    assert unlucky.is_spam is False


def test_a_comment_deleted_meanwhile_is_an_error() -> None:
    with pytest.raises(Comment.DoesNotExist):
        spam_filter(comment_id=1)


def test_it_says_which_comment_it_checks(akismet_stub: AkismetStub, caplog: pytest.LogCaptureFixture) -> None:
    """FEATURES EXM-15."""
    ham = comment("Thank you.")

    with caplog.at_level(logging.INFO):
        spam_filter(comment_id=ham.pk)

    assert f"Running spam filter for comment {ham.pk}" in caplog.messages
