"""The page of the limits that stop a campaign: who may set them, what is refused, what is written down."""

from __future__ import annotations

import pytest
from sqlalchemy import text

USUAL = {"complaints_warn": "0.1", "complaints_stop": "0.3", "bounces_warn": "0.1", "bounces_stop": "0.3"}


def query(desk, statement):
    with desk.committed() as session:
        return session.execute(text(statement)).all()


def test_an_administrator_sets_them_and_everybody_sees_who_did(desk):
    admin = desk.visitor("meera", "admin")
    assert "nobody: the usual" in admin.get("/limits").text
    wanted = USUAL | {"bounces_warn": "1", "bounces_stop": " 2.5 % "}
    assert admin.post("/limits", on="/limits", **wanted).status_code == 303
    shown = desk.visitor("anita", "author").get("/limits").text
    assert "<strong>2.5%</strong>" in shown
    assert "Meera" in shown
    assert "Set the limits" not in shown
    assert "warn at 1%, stop at 2.5%" in admin.get("/health").text
    (act,) = query(desk, "SELECT act, subject, document FROM operator_acts WHERE act = 'set_limit'")
    assert (act.subject, act.document) == (
        "limit:bounces", {"warn": 0.01, "stop": 0.025, "before": ["0.1%", "0.3%"]}
    )  # fmt: skip
    assert admin.post("/limits", on="/limits", **wanted).status_code == 303
    assert len(query(desk, "SELECT 1 FROM operator_acts WHERE act = 'set_limit'")) == 1, "nothing was changed"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("complaints_stop", "1.1", "At most 1% may pass."),
        ("bounces_stop", "10.01", "At most 10% may pass."),
        ("bounces_stop", "0.05", "The warning comes first"),
        ("bounces_warn", "0", "Enter a percentage"),
        ("bounces_warn", "-1", "Enter a percentage"),
        ("bounces_warn", "NaN", "Enter a percentage"),
        ("bounces_warn", "1e999999", "Enter a percentage"),
        ("complaints_warn", "<b>", "Enter a percentage"),
        ("complaints_warn", "", "Enter a percentage"),
    ],
)
def test_what_can_not_be_set_is_said_and_nothing_of_the_form_holds(desk, field, value, words):
    admin = desk.visitor("meera", "admin")
    both = USUAL | {"complaints_stop": "0.2", "bounces_stop": "2"} | {field: value}
    answer = admin.post("/limits", on="/limits", **both)
    assert answer.status_code == 422
    assert words in answer.text
    assert query(desk, "SELECT 1 FROM guard_limits") == []
