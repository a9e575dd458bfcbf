"""The messages stored in the database: waiting, held, parked, or set aside."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from django_tasks.brokers.broker import broker
from django_tasks.models import QueuedMessage

from . import badges, texts, times
from .filters import QueueFilter, StateFilter
from .rows import RowAdmin


@admin.register(QueuedMessage)
class QueuedMessageAdmin(RowAdmin):
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
        (_("Times"), {"fields": ("sent_exactly", "due_exactly")}),
        (_("Consumer"), {"fields": (("claimed_by", "deliveries"),)}),
    )
    readonly_fields = ("badge", "reason_block", "sent_exactly", "due_exactly")

    @property
    def database(self) -> str:
        return broker().alias

    @admin.display(description=_("state"))
    def badge(self, row: QueuedMessage) -> SafeString:
        return badges.of_message(row.state)

    @admin.display(description=_("message"))
    def number(self, row: QueuedMessage) -> str:
        return f"#{row.pk}"

    @admin.display(description=_("sent"))
    def sent(self, row: QueuedMessage) -> SafeString | str:
        return times.moment(row.sent_at)

    @admin.display(description=_("due"))
    def due(self, row: QueuedMessage) -> SafeString | str:
        return times.moment(row.deliver_at)

    @admin.display(description=_("reason"))
    def reason_block(self, row: QueuedMessage) -> SafeString | str:
        return texts.block(row.reason)

    @admin.display(description=_("sent"))
    def sent_exactly(self, row: QueuedMessage) -> SafeString | str:
        return times.exact(row.sent_at)

    @admin.display(description=_("due"))
    def due_exactly(self, row: QueuedMessage) -> SafeString | str:
        return times.exact(row.deliver_at)
