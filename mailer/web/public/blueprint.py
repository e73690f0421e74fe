"""The blueprint of the customers' pages, and what goes wrong on them."""

from __future__ import annotations

from flask import Blueprint
from werkzeug.wrappers import Response

from mailer.web.public.language import fill
from mailer.web.public.visit import page

public = Blueprint("public", __name__)
public.add_app_template_filter(fill, "fill")


@public.errorhandler(500)
def broke(_error: Exception) -> Response:
    """Never pretend: say that we don't know whether it was saved, and offer the same button again."""
    return page("problem", status=500)
