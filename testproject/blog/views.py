"""The blog's pages. The place to look is `add_comment`."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render

from . import tasks
from .forms import CommentForm
from .models import Comment, Entry


def index(request: HttpRequest) -> HttpResponse:
    return render(request, "blog/index.html", {"entries": Entry.objects.order_by("title")})


def entry(request: HttpRequest, slug: str) -> HttpResponse:
    post = get_object_or_404(Entry, slug=slug)
    comments = Comment.objects.filter(is_spam=False).order_by("-pub_date")[:20]
    return render(request, "blog/entry.html", {"entry": post, "comments": comments})


def add_comment(request: HttpRequest, slug: str, template_name: str = "comments/create.html") -> HttpResponse:
    """The form, and what it posts: the comment is saved and checked for spam in the background.

    With ATOMIC_REQUESTS this view is one transaction, and the task is part of it.
    """
    post = get_object_or_404(Entry, slug=slug)
    remote_addr = request.META.get("REMOTE_ADDR")

    if request.method == "POST":
        form = CommentForm(request.POST, request.FILES)
        if form.is_valid():
            comment = form.save()
            # Check spam asynchronously.
            tasks.spam_filter.delay(comment_id=comment.pk, remote_addr=remote_addr)
            refuse_blocked_author(comment)
            return HttpResponseRedirect(post.get_absolute_url())
    else:
        form = CommentForm()

    return render(request, template_name, {"form": form, "entry": post})


def refuse_blocked_author(comment: Comment) -> None:
    """Raise `PermissionDenied` (403) if the comment's author is on the block list.

    It comes after the comment is saved and the task is sent, as such rules do when they live in a signal
    receiver or in another app. The exception rolls the request's transaction back: neither remains.
    """
    if comment.name in settings.BLOG_BLOCKED_AUTHORS:
        raise PermissionDenied(f"{comment.name} may not comment on this blog.")
