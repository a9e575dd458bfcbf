"""What is shown in the admin and not changed there by forms."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest


class ReadOnly:
    """Of an admin, or an inline: nobody adds, changes or deletes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
