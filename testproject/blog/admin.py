from __future__ import annotations

from django.contrib import admin
from django.db import models

from .models import Comment, Entry


@admin.register(Entry)
class EntryAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["title", "slug"]
    prepopulated_fields = {"slug": ["title"]}


@admin.register(Comment)
class CommentAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ["name", "comment", "pub_date", "is_spam"]
    list_filter = ["is_spam"]
    readonly_fields = ["pub_date", "is_spam"]
    # As in forms.py.
    formfield_overrides = {models.URLField: {"assume_scheme": "https"}}
