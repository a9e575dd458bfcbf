"""The messages stored in the database: waiting, held, parked, or set aside."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from django_tasks.brokers.handler import broker
from django_tasks.models import QueuedMessage
from django_tasks.models.queue import QueuedMessageQuerySet

from . import badges, columns, message_deeds, texts
from .acting import NEXT, ROW
from .actions import Action
from .filters import QueueFilter, StateFilter
from .queue_pages import QueuePage, QueuesPage
from .rows import RowAdmin

#: Messages that are replayed or discarded at a time: a form has only so many fields.
MOST = 500


@admin.register(QueuedMessage)
class QueuedMessageAdmin(RowAdmin):
    tab = "messages"
    list_display = ("badge", "number", "queue", "priority", "sent", "due", "reason")
    list_display_links = ("number",)
    list_columns = ("id", "state", "queue", "priority", "sent_at", "deliver_at", "reason")
    # The payload has the arguments, secrets and all.
    hidden_columns = ("payload",)
    list_filter = (StateFilter, QueueFilter)
    # As a queue is served, which an index gives. By the alphabet "aside" comes first, and that is right.
    ordering = ("state", "queue", "priority", "sent_at", "id")

    fieldsets = (
        (None, {"fields": ("id", "badge", ("queue", "priority"), "reason_block")}),
        (
            _("Message"),
            {
                "fields": ("copy",),
                "description": _("Without secrets; of positional arguments only how many."),
            },
        ),
        (_("Times"), {"fields": ("sent_exactly", "due_exactly")}),
        (_("Consumer"), {"fields": (("claimed_by", "deliveries"),)}),
    )
    readonly_fields = ("badge", "reason_block", "copy", "sent_exactly", "due_exactly")
    actions = ("replay", "discard")
    deeds = (message_deeds.replay, message_deeds.discard)
    pages = (QueuesPage, QueuePage)

    @property
    def database(self) -> str:
        return broker().alias

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """The message itself for those who may see what tasks are called with."""
        may_see = self._sees_payloads(request)
        return [each for each in self.fieldsets if may_see or "copy" not in each[1]["fields"]]

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        """With the buttons, if there is a point in them."""
        is_aside = context["original"].state == QueuedMessage.State.ASIDE
        offers = list(self.offers(request).values()) if is_aside else []
        return super().render_change_form(request, {**context, "tasks_offers": offers}, *args, **kwargs)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return message_deeds.replay.is_allowed(request)

    @admin.action(description=_("Replay what was set aside"), permissions=["replay"])
    def replay(self, request: HttpRequest, selected: QueuedMessageQuerySet) -> HttpResponse:
        return self._act_on(request, message_deeds.replay, selected)

    @admin.action(description=_("Discard what was set aside"), permissions=["replay"])
    def discard(self, request: HttpRequest, selected: QueuedMessageQuerySet) -> HttpResponse:
        return self._act_on(request, message_deeds.discard, selected)

    def _act_on(self, request: HttpRequest, action: Action, selected: QueuedMessageQuerySet) -> HttpResponse:
        """As a button would, to what Django's list has found out was chosen: perhaps all that a filter leaves."""
        posted = request.POST.copy()
        posted.setlist(ROW, [str(key) for key in selected.values_list("pk", flat=True)[:MOST]])
        posted.setdefault(NEXT, request.get_full_path())
        request.POST = posted  # type: ignore[assignment]
        return self.act(request, action.name)

    badge = columns.column(_("state"), lambda row: badges.of_message(row.state))
    number = columns.column(_("message"), lambda row: f"#{row.pk}")
    sent = columns.moment(_("sent"), "sent_at")
    due = columns.moment(_("due"), "deliver_at")
    copy = columns.column(_("copy"), lambda row: texts.block(texts.stored_message(row.payload)))
    reason_block = columns.column(_("reason"), lambda row: texts.block(row.reason))
    sent_exactly = columns.exact(_("sent"), "sent_at")
    due_exactly = columns.exact(_("due"), "deliver_at")
