"""A plan says what Jinja says, to the byte: for every template that a mail may have, and for hostile values."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from mailer import merge_fields, quoted
from mailer.expressions import Unplanned
from mailer.inks import BYTES, ESCAPED, WORDS
from mailer.message import Marketing, Sender, build
from mailer.plans import Plan, settled
from mailer.render import Compiled, Renderer, compile_source
from mailer.starters import starting_kinds, starting_source
from mailer.stencils import FRAGMENTS, Stencil
from mailer.templating import HTML, TEXT

SENDER = Sender("Anaar Home", "hello@mail.example.com", "mail.example.com")

# -- templates and values ------------------------------------------------------------------------------------

HOSTILE = st.sampled_from(
    ["", " ", "=", "=3D", ".", ".\r\n.", "\r\n.\r\n", "a\rb\nc", "<b>", "&amp;", "'\"", "x" * 75, "x" * 76, "x" * 200,
     "." * 160, "नमस्ते " * 20, "🪔", "{{ 7 }}", "\t", "tail ", "a=\r\n", "\x00", "\u2028",
     "https://e.example/" + "t." * 70]
)  # fmt: skip
VALUES = HOSTILE | st.text(alphabet=st.sampled_from("ab. =\n\r\t<&\"'xनé…"), max_size=160)
WORDS_OF_TEMPLATES = st.sampled_from(
    [
        "",
        " ",
        "Dear ",
        ".\n",
        "=",
        "\n\n",
        "\n \n\n",
        "<p class='a'>",
        "ई-मेल",
        "x" * 75 + "\n",
        "x" * 76,
        "&amp;",
        "\n.",
    ]
)
THINGS = st.fixed_dictionaries({"name": VALUES, "price": VALUES, "offer_price": VALUES, "url": VALUES})
FIELDS = st.fixed_dictionaries(
    {
        "person": st.fixed_dictionaries({"first_name": VALUES, "city": VALUES}),
        "links": st.fixed_dictionaries({"unsubscribe": VALUES}),
        "campaign": st.fixed_dictionaries(
            {"title": VALUES, "tip": VALUES, "facts": st.lists(st.fixed_dictionaries({"name": VALUES}), max_size=3)}
        ),
        "wishlist": st.lists(THINGS, max_size=4),
        "wishlist_words": VALUES,
        "assets": VALUES,
    }
)
PLAIN = ("person.first_name", "person.city", "links.unsubscribe", "campaign.title", "campaign.tip", "assets")
FILTERS = ("upper", "lower", "title", "capitalize", "urlencode", "length")


@st.composite
def expressions(draw: st.DrawFn, names: tuple[str, ...], depth: int = 2) -> str:
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from([*names, "'<x>'", "'friend'"]))
    one, two = draw(expressions(names, depth - 1)), draw(expressions(names, depth - 1))
    return draw(
        st.sampled_from(
            [
                f"({one} or {two})",
                f"({one} and {two})",
                f"(not {one})",
                f"({one} == {two})",
                f"({one} != {two})",
                f"({one} if {two} else {one})",
                f"({one}|{draw(st.sampled_from(FILTERS))})",
                f"({one} in {two})",
                *(["loop.index <= 2", "loop.last"] if len(names) != len(PLAIN) else ()),
                "wishlist|length",
            ]
        )
    )


@st.composite
def templates(draw: st.DrawFn, names: tuple[str, ...] = PLAIN, depth: int = 2) -> str:
    said = []
    for _ in range(draw(st.integers(1, 2))):
        said.append(draw(WORDS_OF_TEMPLATES))
        inner = templates(names, depth - 1) if depth else WORDS_OF_TEMPLATES
        shape = draw(st.integers(0, 4 if depth else 0))
        if shape == 0:
            said.append(f"{{{{ {draw(expressions(names))} }}}}")
        elif shape == 1:
            other = draw(expressions(names))
            said.append(
                f"{{% if {draw(expressions(names))} %}}{draw(inner)}{{% elif {other} %}}{draw(inner)}"
                f"{{% else %}}{draw(inner)}{{% endif %}}"
            )
        else:
            name = draw(st.sampled_from(["p", "q", "campaign"]))
            walked = draw(st.sampled_from(["wishlist", "wishlist", "campaign.facts"]))
            within = (*names, f"{name}.name", *([f"{name}.price", f"{name}.url"] if walked == "wishlist" else ()))
            body = draw(templates(draw(st.sampled_from([within, within[len(names) :]])), depth - 1))
            said.append(f"{{% for {name} in {walked} %}}{body}{{% else %}}{draw(inner)}{{% endfor %}}")
            if shape == 4:
                rows = f"{{% for row in wishlist|batch(2) %}}<tr>{{% for p in row %}}{body}{{% endfor %}}{{% endfor %}}"
                said.append(rows)
    return "".join([*said, draw(WORDS_OF_TEMPLATES)])


def same_bytes(template: str, fields: dict, known: dict) -> bool:
    """Whether there was a plan; fails where it says other bytes than Jinja."""
    try:
        html = Stencil(HTML, template, known, BYTES).fill(fields)
        escaped = Stencil(HTML, template, known, ESCAPED).fill(fields)
        words = Stencil(TEXT, template, known, WORDS).fill(fields)
    except Exception:  # noqa: BLE001  (whatever it is, it is left to Jinja)
        return False
    pieces = [str(piece) for piece in HTML.from_string(template).generate(fields)]
    assert html == quoted.SOFT_BREAK.join(quoted.encode(piece) for piece in pieces if piece)
    assert escaped == "".join(pieces)
    assert words == TEXT.from_string(template).render(fields)
    return True


@settings(max_examples=70, deadline=None)
@given(templates(), FIELDS)
@example("{% for p in wishlist %}{{ p.name }}{{ loop.index }}{% endfor %}", {"wishlist": [{"name": "="}] * 3})
@example("{% for campaign in wishlist %}{{ campaign.name }}{% endfor %}", {"wishlist": [{"name": "x"}], "campaign": {}})
def test_a_stencil_says_what_jinja_says(template, fields):
    """Twice: with nothing known beforehand, and with what a campaign has in common."""
    same_bytes(template, fields, {})
    same_bytes(template, fields, settled(fields))


@settings(max_examples=40, deadline=None)
@given(FIELDS)
def test_the_words_of_the_allow_list_have_a_plan(fields):
    template = (
        "Dear {{ person.first_name or 'friend' }}{% for p in wishlist %}{% if loop.index <= 3 %}<a href='{{ p.url }}'>"
        "{{ p.name|upper }}</a>{{ p.price if p.price else 'free' }}{% endif %}{% else %}none{% endfor %}"
        "{% for row in wishlist|batch(2) %}<tr>{% for p in row %}{{ p.name }}{% if not loop.last %}, {% endif %}"
        "{% endfor %}</tr>{% endfor %}{% for f in campaign.facts %}{{ loop.index }}: {{ f.name }}{% endfor %}"
        "{% if campaign.tip and person.city %}{{ campaign.tip }}{% elif wishlist|length == 1 %}one{% endif %}"
    )
    assert same_bytes(template, fields, {})
    assert same_bytes(template, fields, settled(fields))


@pytest.mark.parametrize(
    "template",
    [
        "{% for p in wishlist if p.price %}x{% endfor %}",
        "{{ 'x' if person.city }}",
        "{{ 1 < person.city < 3 }}",
        "{% set x = 1 %}",
        "{{ f() }}",
    ],
)
def test_what_a_plan_does_not_know_is_left_to_jinja(template):
    with pytest.raises(Unplanned):
        Stencil(HTML, template, {}, BYTES)


# -- whole mails -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "hi"])
@pytest.mark.parametrize("kind", starting_kinds())
def test_the_mails_that_come_along_are_planned_and_the_same_to_the_byte(kind, language):
    """With everything and with nothing, with other things and names: as messages, finished."""
    source = starting_source(kind) if language == "en" else in_hindi(starting_source(kind))
    renderer = Renderer(compile_source(source))
    whole = merge_fields.everything(source.values)
    for fields in (
        whole,
        merge_fields.nothing(kind, source.values),
        whole | {"wishlist": []},
        whole | {"wishlist": list(reversed(whole["wishlist"])), "person": {"first_name": "नमन <b>", "city": "=.\r\n."}},
        whole | {"wishlist": whole["wishlist"][:1], "bought": whole["bought"] | {"often": []}},
    ):
        planned, plain = renderer.planned(fields), renderer.plain(fields)
        assert planned is not None
        assert message(planned) == message(plain)


def in_hindi(source):
    words = {name: f"{value} शुभकामनाएँ" for name, value in source.values.items() if name in ("title", "tip", "terms")}
    return replace(
        source,
        language="hi",
        subject=f"नमस्ते {source.subject}",
        mjml=source.mjml.replace('lang="en"', 'lang="hi"', 1).replace("Dear ", "प्रिय "),
        text=source.text.replace("Dear ", "प्रिय "),
        values={**source.values, **words},
    )


def message(encoded):
    return build(
        sender=SENDER,
        recipient="priya@example.com",
        subject=encoded.subject,
        html=encoded.pieces,
        text=encoded.text,
        date=datetime(2026, 11, 2, tzinfo=UTC),
        attempt_id=UUID(int=2),
        marketing=Marketing(7, "festive", "festivals", "https://mail.example.com/u/x"),
    )


def renderer(html="<p>{{ person.first_name }}{{ campaign.title }}</p>", text="{{ campaign.title }}"):
    return Renderer(Compiled("festive", "en", "Hello", "Words", html, text))


def fields(**changes):
    return {"person": {"first_name": "Asha", "city": ""}, "campaign": {"title": "One"}, "wishlist": []} | changes


def test_another_campaigns_values_are_never_taken_for_this_ones():
    one = renderer()
    assert b"AshaOne" in one.encode(fields()).html.replace(b"=\r\n", b"")
    values = {"title": "Two"}
    assert b"AshaTwo" in one.encode(fields(campaign=values)).html.replace(b"=\r\n", b"")
    values["title"] = "Three"
    assert one.encode(fields(campaign=values)).text == b"Three\r\n\r\n"


def test_a_field_that_is_missing_where_it_is_not_wanted_fails_no_mail():
    """And where it is wanted, Jinja says so, as ever."""
    one = renderer("{% if person.city %}{{ links.why }}{% endif %}x")
    assert one.encode(fields()).html == b"x\r\n"
    many = renderer("{% for p in wishlist %}{% if p.price %}{{ p.name }}{% endif %}{% endfor %}x")
    assert many.planned(fields(wishlist=[{"price": ""}])) is None
    assert many.encode(fields(wishlist=[{"price": ""}])).html == b"x\r\n"


def test_a_value_that_is_no_text_prints_as_jinja_prints_it():
    """Equal is not the same: True is 1, and markup isn't escaped again."""
    template = "{% for p in wishlist %}{{ p.name }},{% endfor %}{{ campaign.title }}"
    for names in ([1, True, 1.0, None], ["<b>", Markup("<b>"), "<b>"]):
        for title in names:
            here = fields(wishlist=[{"name": name} for name in names], campaign={"title": title})
            assert same_bytes(template, here, settled(here))


def test_a_loop_remembers_within_bounds_and_counts_turns_apart():
    template = (
        "{% for p in wishlist %}{% if loop.first %}<b>{{ p.name }}</b>{% else %}{{ p.name }}{% endif %}{% endfor %}"
    )
    stencil = Stencil(HTML, template, {}, BYTES)
    for number in range(0, FRAGMENTS + 50, 2):
        here = {"wishlist": [{"name": f"a{number}"}, {"name": f"a{number}"}, {"name": f"b{number}"}]}
        pieces = [str(piece) for piece in HTML.from_string(template).generate(here)]
        assert stencil.fill(here) == quoted.SOFT_BREAK.join(map(quoted.encode, pieces))


def test_no_plan_can_be_made_is_no_trouble():
    """Jinja does it then, for everybody."""
    odd = renderer("{% for p in wishlist if p.name %}{{ p.name }}{% endfor %}.")
    assert not Plan.of("a", "b", "{% for p in w if p %}{% endfor %}", "c", {}, BYTES).fill(fields())
    here = fields(wishlist=[{"name": "Lamp"}, {"name": ""}])
    assert odd.planned(here) is None
    assert odd.encode(here) == odd.plain(here)
