"""What the blog does in the background."""

from __future__ import annotations

from django.conf import settings
from django.contrib.sites.models import Site
from django.core.exceptions import ImproperlyConfigured

from django_tasks import task

from .akismet import Akismet
from .models import Comment


@task
def spam_filter(comment_id: int, remote_addr: str | None = None) -> bool:
    """Whether Akismet takes the comment for spam; if so, the comment is marked."""
    logger = spam_filter.get_logger()
    logger.info("Running spam filter for comment %s", comment_id)

    comment = Comment.objects.get(pk=comment_id)
    current_domain = Site.objects.get_current().domain
    akismet = Akismet(settings.AKISMET_KEY, f"http://{current_domain}", url=settings.AKISMET_URL)
    if not akismet.verify_key():
        raise ImproperlyConfigured("Invalid AKISMET_KEY")

    is_spam = akismet.comment_check(
        user_ip=remote_addr,
        comment_content=comment.comment,
        comment_author=comment.name,
        comment_author_email=comment.email_address,
    )
    if is_spam:
        comment.is_spam = True
        comment.save(update_fields=["is_spam"])

    return is_spam
