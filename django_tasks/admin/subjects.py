"""A block for the admin of the project's own models: the tasks that were sent about an object.

from django_tasks.admin import TasksInline

@admin.register(Invoice)
class InvoiceAdmin(admin.ModelAdmin):
    inlines = [TasksInline]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib.admin.checks import InlineModelAdminChecks
from django.contrib.admin.options import InlineModelAdmin
from django.core.checks import CheckMessage
from django.db.models import Model, QuerySet
from django.forms.models import BaseModelFormSet, modelformset_factory
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from django_tasks.models import TaskResult

from .read_only import ReadOnly


class NothingToFillIn(BaseModelFormSet):  # type: ignore[type-arg]
    """The formset that an inline must have, of one that only shows: it takes nothing, whatever is posted."""

    def __init__(
        self,
        data: Any = None,
        files: Any = None,
        instance: Model | None = None,
        save_as_new: bool = False,
        prefix: str | None = None,
        queryset: QuerySet[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(prefix=prefix, queryset=TaskResult.objects.none())
        #: The object that the tasks are about.
        self.instance = instance
        #: What Django's log asks for.
        self.new_objects, self.changed_objects, self.deleted_objects = [], [], []

    @classmethod
    def get_default_prefix(cls) -> str:
        return "django_tasks"

    def is_valid(self) -> bool:
        return True

    def save(self, commit: bool = True) -> list[Any]:
        return []


class NoForeignKey(InlineModelAdminChecks):
    """A task knows its object by its kind and its key."""

    def _check_exclude_of_parent_model(self, obj: Any, parent_model: Any) -> Sequence[CheckMessage]:
        return []

    def _check_relation(self, obj: Any, parent_model: Any) -> Sequence[CheckMessage]:
        return []


class TasksInline(ReadOnly, InlineModelAdmin):  # type: ignore[type-arg]
    """The last tasks about an object, for those who may see tasks. Give what `subject=` gave when they were sent."""

    model = TaskResult
    template = "admin/django_tasks/tasks_inline.html"
    formset = NothingToFillIn  # type: ignore[assignment]
    checks_class = NoForeignKey
    verbose_name_plural = _("background tasks")
    extra = max_num = 0
    can_delete = False

    class Media:
        css: ClassVar[dict[str, list[str]]] = {"all": ["django_tasks/admin.css"]}

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        return modelformset_factory(
            TaskResult, formset=self.formset, fields=(), extra=0, max_num=0, can_delete=False
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return TaskResult.objects.none()
