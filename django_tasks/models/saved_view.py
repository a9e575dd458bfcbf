"""SavedView: filters and a search of the list of tasks, under a name that one user has given them."""

from __future__ import annotations

from typing import Any, Self

from django.db import models
from django.utils.translation import gettext_lazy as _

#: Characters that a query may have.
LONGEST = 2000


class SavedViewQuerySet(models.QuerySet["SavedView"]):
    def of(self, user: Any) -> Self:
        """Those of the user with this primary key."""
        return self.filter(owner=str(user))

    def save_as(self, user: Any, name: str, query: str) -> bool:
        """Save a view of this user. False if there was one of this name: then it is another one now."""
        return self.update_or_create(owner=str(user), name=name, defaults={"query": query})[1]


class SavedView(models.Model):
    """A view of the list of tasks, as its owner wants to come back to it."""

    id = models.BigAutoField(primary_key=True)
    # As text and without a constraint: a project may have no users, or have them in another database.
    owner = models.CharField(_("owner"), max_length=255, help_text=_("Primary key of the user."))
    name = models.CharField(_("name"), max_length=100)
    query = models.CharField(_("query"), max_length=LONGEST, help_text=_("Parameters of the list."))

    objects = SavedViewQuerySet.as_manager()

    class Meta:
        default_permissions = ()
        verbose_name = _("saved view")
        verbose_name_plural = _("saved views")
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="django_tasks_savedview_one"),
        ]

    def __str__(self) -> str:
        return self.name
