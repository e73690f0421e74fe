"""The blueprint of the customers' pages, and what goes wrong on them."""

from __future__ import annotations

from flask import Blueprint
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from config.logging import get_logger
from mailer.web.public.language import fill
from mailer.web.public.visit import page

public = Blueprint("public", __name__)
public.add_app_template_filter(fill, "fill")


@public.errorhandler(Exception)
def broke(error: Exception) -> Response | HTTPException:
    """Never pretend: say that we don't know whether it was saved, and offer the same button again."""
    if isinstance(error, HTTPException) and error.code != 500:
        return error
    get_logger(__name__).exception("public_page_broke")
    return page("problem", status=500)
