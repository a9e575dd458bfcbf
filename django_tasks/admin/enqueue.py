"""The page on which a task is sent by hand: choose it, fill in what it takes, send it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_tasks import conf, registry
from django_tasks.exceptions import TasksError
from django_tasks.models import TaskResult
from django_tasks.models.counting import Count

from . import links, log
from .actions import Action, Chosen
from .enqueue_forms import ChooseForm, EnqueueForm, form_of
from .pages import Page
from .tabs import SEE_TASKS

#: Not a deed of a list: it is done to nothing. But it is allowed and written down like one.
ENQUEUE = Action(
    name="enqueue",
    label=gettext_lazy("Enqueue task"),
    permission="enqueue_task",
    perform=lambda request, rows: "",
)


class EnqueuePage(Page):
    """Two steps: `?task=` says which task, and a POST there sends it."""

    key = "enqueue"
    tab = "tasks"
    title = ENQUEUE.label
    template = "admin/django_tasks/enqueue.html"
    permission = f"django_tasks.{ENQUEUE.permission}"

    def urls(self) -> list[URLPattern]:
        return [path("enqueue/", self.site.admin_view(self.view), name=f"django_tasks_{self.key}")]

    def view(self, request: HttpRequest) -> HttpResponse:
        if not self.may_see(request):
            raise PermissionDenied
        choice = ChooseForm(request.GET if "task" in request.GET else None)
        if not choice.is_valid():
            return self._page(request, choice=choice)
        form = form_of(
            registry.find(choice.cleaned_data["task"]), request.POST if request.method == "POST" else None
        )
        return (form.is_valid() and self._send(request, form)) or self._page(request, form=form)

    def _send(self, request: HttpRequest, form: EnqueueForm) -> HttpResponse | None:
        """Where to look at it; nothing if it could not be sent, and then the form says why."""
        try:
            sent = form.send()
        except (TypeError, ValueError, TasksError) as error:
            form.add_error(None, str(error))
            return None
        told = _("Sent as task %s.") % sent.id
        log.write(
            request,
            TaskResult,
            ENQUEUE,
            Chosen(rows=[], count=Count(1), id=sent.id, name=f"{form.name} {sent.id}"),
            told,
        )
        messages.success(request, told)
        return HttpResponseRedirect(self._url_after(request, sent.id))

    def _url_after(self, request: HttpRequest, id: str) -> str:
        """The page of what was sent. There is none of a task of which nothing is stored."""
        if not request.user.has_perm(SEE_TASKS):
            return self.home()
        rows = TaskResult.objects.using(conf.current().DATABASE)
        if rows.filter(id=id).exists():
            return links.url_of(self.site, TaskResult, id)
        return links.url_of_list(self.site, TaskResult)

    def _page(
        self, request: HttpRequest, *, choice: ChooseForm | None = None, form: EnqueueForm | None = None
    ) -> HttpResponse:
        context: dict[str, Any] = {
            "tasks_choice": choice,
            "tasks_form": form,
            "tasks_url": links.url_of_list(self.site, TaskResult),
            "enqueue_url": self.home(),
        }
        return TemplateResponse(request, self.template, {**self.surroundings(request), **context})
