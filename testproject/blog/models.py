from __future__ import annotations

from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _


class Entry(models.Model):
    """A post of the blog."""

    slug = models.SlugField(_("slug"), unique=True)
    title = models.CharField(_("title"), max_length=128)

    class Meta:
        verbose_name = _("entry")
        verbose_name_plural = _("entries")

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("blog:entry", args=[self.slug])


class Comment(models.Model):
    """What a visitor wrote. It counts as clean until the spam filter has said otherwise."""

    name = models.CharField(_("name"), max_length=64)
    email_address = models.EmailField(_("email address"))
    homepage = models.URLField(_("home page"), blank=True)
    comment = models.TextField(_("comment"))
    pub_date = models.DateTimeField(_("published date"), editable=False, auto_now_add=True)
    is_spam = models.BooleanField(_("spam?"), default=False, editable=False)

    class Meta:
        verbose_name = _("comment")
        verbose_name_plural = _("comments")

    def __str__(self) -> str:
        return f"{self.name}: {self.comment[:40]}"
