"""Overview: a name for all of it together, by which a menu can lead to its page."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from .result import TaskResult


class Overview(TaskResult):
    """No rows of its own, and no permissions: who may see tasks may see how all of them are."""

    class Meta:
        proxy = True
        default_permissions = ()
        verbose_name = _("Overview")
        verbose_name_plural = _("Overview")
