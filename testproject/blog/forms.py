from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from .models import Comment


class CommentForm(forms.ModelForm):  # type: ignore[type-arg]
    # "example.com" means https://example.com: the default from Django 6 on, to be asked for in 5.2.
    homepage = forms.URLField(label=_("Home page"), required=False, assume_scheme="https")

    class Meta:
        model = Comment
        fields = ["name", "email_address", "homepage", "comment"]
