from django.urls import path

from . import views

app_name = "blog"

urlpatterns = [
    path("", views.index, name="index"),
    path("<slug:slug>/", views.entry, name="entry"),
    path("<slug:slug>/comment/", views.add_comment, name="add_comment"),
]
