"""How an action is done: a POST, its permission, a confirmation where it asks for one, the deed, the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.template.response import TemplateResponse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _

from . import log
from .actions import Action, Chosen, Offer, Refused, named

#: Names in the forms of buttons and confirmations.
ROW, NEXT, CONFIRMED, WORD = "row", "next", "confirmed", "word"


class Acting:
    """What pages and lists have in common: their `deeds`, and the one way to do one."""

    deeds: ClassVar[Sequence[Action]] = ()

    @property
    def site(self) -> AdminSite:
        raise NotImplementedError

    model: Any

    def action_url(self, name: str) -> str:
        raise NotImplementedError

    def home(self) -> str:
        """Where to go afterwards, if the button does not say."""
        raise NotImplementedError

    def surroundings(self, request: HttpRequest) -> dict[str, Any]:
        raise NotImplementedError

    def chosen(self, request: HttpRequest, keys: Sequence[str]) -> Chosen:
        raise NotImplementedError

    def offers(self, request: HttpRequest) -> dict[str, Offer]:
        """The actions that this user may do here, by name."""
        allowed = [action for action in self.deeds if self.may_do(request, action)]
        return {action.name: Offer(action=action, url=self.action_url(action.name)) for action in allowed}

    def may_do(self, request: HttpRequest, action: Action) -> bool:
        return action.is_allowed(request)

    def act(self, request: HttpRequest, name: str) -> HttpResponse:
        """Do the action of this name to what was chosen."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        action = named(self.deeds, name)
        if action is None:
            raise Http404
        if not self.may_do(request, action):
            raise PermissionDenied
        try:
            return self._act(request, action, self.chosen(request, keys_in(request)))
        except Refused as refusal:
            return self.told(request, str(refusal), messages.ERROR)

    def _act(self, request: HttpRequest, action: Action, chosen: Chosen) -> HttpResponse:
        if action.takes_rows and not chosen.count:
            return self.told(request, _("Nothing was chosen."), messages.WARNING)
        if _is_confirmed(action, chosen) and CONFIRMED not in request.POST:
            return self._ask(request, action, chosen, _form(request, action, chosen, None))
        form = _form(request, action, chosen, request.POST)
        if not form.is_valid() or not _word_is_right(request, action, chosen):
            return self._ask(request, action, chosen, form, is_wrong=True)
        told = action.perform(request, chosen.rows, **form.cleaned_data)
        log.write(request, self.model, action, chosen, told)
        return self.told(request, told, messages.SUCCESS)

    def told(self, request: HttpRequest, words: str, level: int) -> HttpResponse:
        messages.add_message(request, level, words)
        return HttpResponseRedirect(_next(request) or self.home())

    def _ask(
        self,
        request: HttpRequest,
        action: Action,
        chosen: Chosen,
        form: forms.Form,
        *,
        is_wrong: bool = False,
    ) -> HttpResponse:
        """The page between the button and the deed. It carries along what was chosen."""
        carried = [
            (name, value)
            for name in request.POST
            if name not in (CONFIRMED, WORD, "csrfmiddlewaretoken") and name not in form.fields
            for value in request.POST.getlist(name)
        ]
        carried += [item for item in chosen.carried.items() if item[0] not in request.POST]
        context = {
            **self.surroundings(request),
            "title": action.label,
            "tasks_action": action,
            # Not where it was asked for: a list asked again, perhaps without its filter, would choose others.
            "tasks_action_url": self.action_url(action.name),
            "tasks_chosen": chosen,
            "tasks_form": form,
            "tasks_carried": carried,
            "tasks_word": action.name if _wants_word(action, chosen) else "",
            "tasks_is_wrong": is_wrong,
            "tasks_back": _next(request) or self.home(),
        }
        return TemplateResponse(request, "admin/django_tasks/confirm.html", context)


def keys_in(request: HttpRequest) -> list[str]:
    """Of the rows that were chosen: by a button beside one, or by the boxes of Django's lists."""
    several = [*request.POST.getlist(ROW), *request.POST.getlist(ACTION_CHECKBOX_NAME)]
    # PostgreSQL refuses to be asked for NUL, which no key has.
    return [key for key in dict.fromkeys(several) if "\x00" not in key]


def _form(request: HttpRequest, action: Action, chosen: Chosen, data: Any) -> forms.Form:
    if action.form_of is not None:
        return action.form_of(request, chosen, data)
    return forms.Form({}) if action.form is None else action.form(data)


def _is_confirmed(action: Action, chosen: Chosen) -> bool:
    return action.is_confirmed or chosen.is_everything


def _wants_word(action: Action, chosen: Chosen) -> bool:
    if action.word_from is None or not _is_confirmed(action, chosen):
        return False
    return chosen.count.is_capped or chosen.count > action.word_from


def _word_is_right(request: HttpRequest, action: Action, chosen: Chosen) -> bool:
    return not _wants_word(action, chosen) or request.POST.get(WORD, "").strip() == action.name


def _next(request: HttpRequest) -> str:
    """Where the page with the button wants to go afterwards, within this site."""
    asked = request.POST.get(NEXT, "")
    is_ours = url_has_allowed_host_and_scheme(
        asked, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return asked if is_ours else ""
