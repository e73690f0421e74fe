"""Content: what is refused and in which words; what a person's data can and can't do (checks 36, 41 to 43, 134)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.merge_fields import everything, nothing
from mailer.mjml_html import compile_mjml
from mailer.render import Compiled, ContentProblems, Renderer, RenderFailed, Source, compile_source
from mailer.templating import HTML, TEXT

FOOTER = """
<mj-text><p>On {{ grant.date }} you said yes to {{ purpose.name }}. <a href="{{ links.why }}">See the record</a></p>
<p><a href="{{ links.unsubscribe }}">Unsubscribe</a> <a href="{{ links.preferences }}">Get fewer</a></p>
<p>{{ sender.legal_name }}, {{ sender.postal_address }}, {{ sender.care_phone }}</p></mj-text>"""
TEXT_FOOTER = """
On {{ grant.date }} you said yes to {{ purpose.name }}: {{ links.why }}
Stop: {{ links.unsubscribe }} Fewer: {{ links.preferences }}
{{ sender.legal_name }}, {{ sender.postal_address }}, {{ sender.care_phone }}
"""


def mjml(
    inside: str = "<mj-text>Hello</mj-text>", footer: str = FOOTER, head: str = "", lang: str = 'lang="en"'
) -> str:
    return (
        f"<mjml {lang}><mj-head>{head}<mj-attributes><mj-all font-family='Arial' /></mj-attributes></mj-head>"
        f"<mj-body><mj-section><mj-column>{inside}{footer}</mj-column></mj-section></mj-body></mjml>"
    )


def source(inside: str = "<mj-text>Hello {{ person.first_name }}</mj-text>", **changes) -> Source:
    given = Source("festive", "en", "Hello {{ person.first_name or 'friend' }}", "A wish", mjml(inside), TEXT_FOOTER)
    return replace(given, **changes)


def problems(content: Source) -> str:
    with pytest.raises(ContentProblems) as caught:
        compile_source(content)
    return "\n".join(caught.value.problems)


def person(**changes):
    fields = everything({})
    return fields | {"person": fields["person"] | changes}


# -- what data can and can't do ------------------------------------------------------------------------


def test_html_is_escaped_and_text_is_not():
    """Check 43, ASVS 1.2.1: the mail's own environment, not Flask's, which looks at file names."""
    assert HTML.autoescape is True
    assert TEXT.autoescape is False
    assert HTML.loader is None
    rendered = Renderer(compile_source(source())).render(person(first_name='<script>alert("x")</script> & Co.'))
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt; &amp; Co." in rendered.html
    assert rendered.subject == 'Hello <script>alert("x")</script> & Co.'


@pytest.mark.parametrize(
    "name", ["{{7*7}}", "{% for x in y %}", "{{ config }}", "</mj-text><mj-raw>", "jqz0zqj", "A & B"]
)
def test_what_somebody_is_called_is_never_obeyed(name):
    """Check 43."""
    rendered = Renderer(compile_source(source())).render(person(first_name=name))
    escaped = name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert f"Hello {escaped}" in rendered.html
    assert rendered.subject == f"Hello {name}"


@given(st.text(max_size=40))
def test_no_name_changes_the_shape_of_a_mail(name):
    """Check 43: the same tags for everybody, in the same order."""
    rendered = _RENDERER.render(person(first_name=name)).html
    assert rendered.count("<") == _RENDERER.render(person(first_name="Priya")).html.count("<")
    assert rendered.count('"') == _RENDERER.render(person(first_name="Priya")).html.count('"')


_RENDERER = Renderer(
    compile_source(source('<mj-text><b title="{{ person.first_name }}">{{ person.first_name }}</b></mj-text>'))
)


def test_a_missing_field_fails_the_mail_instead_of_leaving_a_hole():
    fields = everything({})
    del fields["person"]["first_name"]
    with pytest.raises(RenderFailed):
        Renderer(compile_source(source())).render(fields)


def test_a_subject_that_came_out_empty_fails_the_mail():
    """Check 68: of one person, not of the campaign."""
    renderer = Renderer(replace(compile_source(source()), subject="{{ person.first_name }}"))
    with pytest.raises(RenderFailed):
        renderer.render(person(first_name=""))


def test_a_line_break_in_a_field_does_not_break_the_subject():
    """Check 29."""
    rendered = Renderer(compile_source(source())).render(person(first_name="Priya\r\nBcc: all@example.com"))
    assert rendered.subject == "Hello Priya Bcc: all@example.com"


# -- templates ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "template, says",
    [
        (
            "{{ person.frist_name }}",
            "there is no field “person.frist_name”. Known ones are: person.city, person.first_name",
        ),
        ("{{ nobody }}", "there is no field “nobody”"),
        ("{{ person }}", "“person” is a group of fields"),
        ("{{ wishlist }}", "“wishlist” is a list"),
        ("{{ person.first_name.upper() }}", "nothing can be called"),
        ("{{ person['first_name'] }}", "write fields with a dot"),
        ("{{ person.__class__ }}", "there is no field"),
        ("{{ person.first_name.__class__ }}", "there is no field"),
        ("{{ 'a' * 100000000 }}", "can't be used in a mail"),
        ("{{ 2 ** 99 }}", "can't be used in a mail"),
        ("{{ person.city % 3 }}", "can't be used"),
        ("{{ person.city|attr('x') }}", "“|attr” can't be used"),
        ("{{ wishlist|batch(linecount=2) }}", "takes a plain value only"),
        ("{% for p in range(9) %}x{% endfor %}", "a loop walks a named list"),
        ("{% for p in person.city %}x{% endfor %}", "a loop walks a named list"),
        ("{% for p in wishlist recursive %}x{% endfor %}", "a loop has one name"),
        ("{% for p in wishlist %}{{ p.cost }}{% endfor %}", "there is no field “p.cost”"),
        ("{% for p in wishlist %}{% endfor %}{{ p.name }}", "there is no field “p.name”"),
        (
            "{% for a in wishlist %}{% for b in wishlist %}{% for c in wishlist %}{% endfor %}{% endfor %}{% endfor %}",
            "a loop inside a loop inside a loop",
        ),
        ("{% set x = 1 %}", "nothing can be set"),
        ("{% macro m() %}{% endmacro %}", "macros can't be used"),
        ("{% include 'x' %}", "other files can't be included"),
        ("{% import 'x' as x %}", "nothing can be imported"),
        ("{% extends 'x' %}", "a mail can't extend another"),
        ("{% if person.city is defined %}x{% endif %}", "tests with “is” can't be used"),
        ("{{ person.first_name", "can't be read"),
        ("{% if person.city %}x", "can't be read"),
        ("{{ campaign.colours }}", "there is no field “campaign.colours”"),
    ],
)
def test_a_template_may_only_read_known_fields(template, says):
    """Check 43, ASVS 1.3.7: each problem says where and what to do; the same in every part."""
    assert says in problems(source(text=TEXT_FOOTER + template))
    assert "Text part, line 5: " in problems(source(text=TEXT_FOOTER + template))
    assert says in problems(source(subject="Hello " + template))
    assert says in problems(source(f"<mj-raw>{template}</mj-raw>"))


def test_every_problem_is_told_at_once():
    content = source(
        '<mj-text><script>x</script>{{ nobody }}</mj-text><mj-image src="http://x.example/a.png" />',
        subject="{{ nothing }}",
        preheader=" ",
        text="Hello",
    )
    told = problems(content)
    for part in (
        "Subject, line 1",
        "Preheader is empty",
        "MJML, line 1",
        "<script>",
        "no alt text",
        "https://",
        "postal",
    ):
        assert part in told


def test_content_that_was_tampered_with_after_approval_does_not_render():
    """The allow-list holds for what comes from the database too."""
    compiled = compile_source(source())
    with pytest.raises(ContentProblems):
        Renderer(replace(compiled, html=compiled.html + "{{ person.first_name.__class__ }}"))


def test_comparisons_survive_mjml():
    """`<` inside a tag would stop the MJML parser, were the tag not put aside."""
    inside = (
        "<mj-raw>{% for p in wishlist %}{% if loop.index <= 2 %}</mj-raw><mj-text>{{ p.name }}</mj-text>"
        "<mj-raw>{% endif %}{% endfor %}</mj-raw>"
    )
    rendered = Renderer(compile_source(source(inside))).render(everything({})).html
    assert "Brass lamp" in rendered
    assert "Copper bottle" in rendered
    assert "Cushion" not in rendered


# -- what a mail must have --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field, what",
    [
        ("links.unsubscribe", "an unsubscribe link"),
        ("links.preferences", "a link to the person's choices"),
        ("links.why", "a link to the record"),
        ("sender.legal_name", "the sender's legal name"),
        ("sender.postal_address", "the sender's postal address"),
        ("sender.care_phone", "the number for care and complaints"),
        ("grant.date", "why they get this: the date of their yes"),
        ("purpose.name", "why they get this: what they said yes to"),
    ],
)
def test_both_parts_need_what_the_law_wants(field, what):
    """Checks 36, 104 and 134: who, from where, why, and how to stop; in HTML and in text."""
    other = "links.shop" if field.startswith("links") else "person.city"
    told = problems(
        source(
            mjml=mjml(footer=FOOTER.replace(field, other)),
            text=TEXT_FOOTER.replace(field, other),
        )
    )
    assert f"The HTML part lacks {what}" in told
    assert f"The text part lacks {what}" in told


@pytest.mark.parametrize(
    "before, after",
    [
        ("<mj-raw>{% if person.city %}</mj-raw>", "<mj-raw>{% endif %}</mj-raw>"),
        ("<mj-raw>{% for p in wishlist %}</mj-raw>", "<mj-raw>{% endfor %}</mj-raw>"),
        ("<mj-raw><!--</mj-raw>", "<mj-raw>--></mj-raw>"),
        ("<mj-raw>{% raw %}</mj-raw>", "<mj-raw>{% endraw %}</mj-raw>"),
        ("{#", "#}"),
    ],
)
def test_a_footer_that_not_everybody_sees_is_no_footer(before, after):
    """Check 20: clearly visible, for everybody."""
    told = problems(source(mjml=mjml(footer=before + FOOTER + after)))
    assert "unsubscribe" in told


@pytest.mark.parametrize("style", ["display: none", "visibility:hidden", "opacity: 0;", "max-height:0"])
def test_a_footer_that_is_hidden_is_no_footer(style):
    """Check 20."""
    hidden = FOOTER.replace("<mj-text>", f'<mj-text><div style="{style}">').replace("</mj-text>", "</div></mj-text>")
    assert "The HTML part lacks an unsubscribe link" in problems(source(mjml=mjml(footer=hidden)))


def test_a_footer_of_text_that_not_everybody_sees_is_no_footer():
    told = problems(source(text="{% if person.city %}" + TEXT_FOOTER + "{% endif %}"))
    assert "The text part lacks an unsubscribe link" in told


def test_a_notice_needs_only_who_it_is_from():
    """Check 18: it is no marketing, so it has nothing to unsubscribe from."""
    footer = "<mj-text>{{ sender.legal_name }}, {{ sender.postal_address }}, {{ sender.care_phone }}</mj-text>"
    text = "{{ sender.legal_name }}, {{ sender.postal_address }}, {{ sender.care_phone }}"
    assert compile_source(source(kind="notice", mjml=mjml(footer=footer), text=text))
    assert "postal" in problems(source(kind="notice", mjml=mjml(footer=""), text=text))


def test_an_unknown_kind_is_told():
    assert "There is no kind of mail “party”" in problems(source(kind="party"))


# -- what a mail must not have ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "inside, says",
    [
        ("<mj-text><script>alert(1)</script></mj-text>", "<script> can't be used"),
        ("<mj-raw><form action='https://x.example'><input name='x' /></form></mj-raw>", "<form> can't be used"),
        ("<mj-raw><iframe src='https://x.example'></iframe></mj-raw>", "<iframe> can't be used"),
        ("<mj-raw><style>@import 'x';</style></mj-raw>", "<style> can't be used"),
        ("<mj-raw><link rel='stylesheet' href='https://x.example/a.css' /></mj-raw>", "<link> can't be used"),
        ("<mj-raw><svg><path d='' /></svg></mj-raw>", "<svg> can't be used"),
        ("<mj-text><b onclick='x()'>b</b></mj-text>", "“onclick” can't be used"),
        ("<mj-text><a href='javascript:alert(1)'>x</a></mj-text>", "must begin with https://"),
        ("<mj-text><a href='http://x.example'>x</a></mj-text>", "must begin with https://"),
        ("<mj-image src='http://x.example/a.png' alt='A' />", "must begin with https://"),
        ("<mj-image src='data:image/png;base64,AAAA' alt='A' />", "must begin with https://"),
        ("<mj-raw><img src='https://x.example/a.png' /></mj-raw>", "no alt text"),
        ("<mj-image src='https://x.example/a.png' href='https://x.example' alt='' />", "is a link needs alt text"),
        ("<mj-raw><div style='background:url(https://x.example/a.png)'>x</div></mj-raw>", "use mj-image"),
        ("<mj-text><a href='{{ person.first_name }}'>x</a></mj-text>", "is not a web address"),
        ("<mj-image src='{{ person.city }}' alt='A' />", "is not a web address"),
        ("<mj-text><a href='https://x.example/{{ person.city }}'>x</a></mj-text>", "{{ person.city|urlencode }}"),
        ("<mj-raw><div style='color:{{ person.city }}'>x</div></mj-raw>", "A field can't be used in a style"),
        ("<mj-raw><div class='{{ person.city }}'>x</div></mj-raw>", "can't be used in “class”"),
        ("<mj-raw><div title='{% if person.city %}x{% endif %}'>x</div></mj-raw>", "can't be used inside “title”"),
        ("<mj-raw><!-- {{ person.city }} --></mj-raw>", "inside a comment"),
        ("<mj-raw><!--[if mso]><script>x</script><![endif]--></mj-raw>", "A comment holds what can't be used"),
        (
            "<mj-raw><table>{% if person.city %}<tr><td>{% endif %}x</td></tr></table></mj-raw>",
            "ends in another place than it begins",
        ),
        ("<mj-include path='/etc/passwd' />", "mj-include can't be used"),
        ("<mj-text>jqz</mj-text>", "can't be used in a mail: they mark"),
        ("<mj-text>open", "can't be read"),
    ],
)
def test_what_can_harm_or_be_clipped_is_refused_and_named(inside, says):
    """Checks 42 and 43, ASVS 1.3.1."""
    assert says in problems(source(inside))


@pytest.mark.parametrize("style", ["@import url(https://x.example/a.css);", "p { background: url(https://x.example) }"])
def test_a_style_can_fetch_nothing(style):
    """Check 42."""
    content = source(mjml=mjml(head=f"<mj-style>{style}</mj-style>"))
    assert problems(content)


def test_nothing_of_the_authors_head_but_styles_gets_into_a_mail():
    """Check 42: no fonts from elsewhere, no scripts, no redirects."""
    head = (
        "<mj-font name='R' href='https://fonts.example/r' /><mj-raw><meta http-equiv='refresh' content='0' /></mj-raw>"
    )
    html = compile_source(source(mjml=mjml(head=head))).html
    assert "fonts" not in html
    assert "refresh" not in html
    assert "<link" not in html


@pytest.mark.parametrize("lang", ["", 'lang="hi"', 'lang="und"'])
def test_a_mail_says_its_language(lang):
    """Check 42."""
    assert '<mjml lang="en"' in problems(source(mjml=mjml(lang=lang)))


def test_a_mail_that_gmail_would_clip_is_refused():
    """Check 41: 102,400 bytes, with the longest data."""
    assert "Gmail clips" in problems(source("<mj-text>" + "words " * 17_000 + "</mj-text>"))
    assert compile_source(source("<mj-text>" + "words " * 10_000 + "</mj-text>"))


def test_the_longest_data_counts_not_the_average():
    """Check 41."""
    each = "<mj-raw>{% for p in wishlist %}</mj-raw><mj-text>" + "{{ p.name }} " * 80
    content = source(each + "</mj-text><mj-raw>{% endfor %}</mj-raw>")
    assert len(Renderer(_unchecked(content)).render(everything({})).html) < 40_000
    assert "Gmail clips" in problems(content)


def _unchecked(content: Source) -> Compiled:
    html = compile_mjml(content.mjml).html()
    return Compiled(content.kind, content.language, content.subject, content.preheader, html, content.text)


# -- what comes out ---------------------------------------------------------------------------------------------


def test_compiled_content_knows_what_it_reads_and_what_it_is():
    one, same, other = compile_source(source()), compile_source(source()), compile_source(source(preheader="Another"))
    assert {"person.first_name", "links.unsubscribe", "sender.postal_address"} <= one.variables
    assert one.hash == same.hash != other.hash
    assert len(one.hash) == 32


def test_values_of_a_campaign_are_checked():
    told = problems(source(values={"title": "x" * 99, "button_url": "http://x.example", "colour": "red"}))
    assert "“title” has 99 characters; shorten it to 80" in told
    assert "“button_url” must be a web address that begins with https://" in told
    assert "“colour” is not a value of a festive campaign" in told
    assert "“greeting” is missing" in told


def test_a_renderer_made_from_what_was_stored_says_the_same():
    """A worker knows a revision only from the database."""
    one = compile_source(source())
    again = Renderer(Compiled(one.kind, one.language, one.subject, one.preheader, one.html, one.text))
    assert again.render(everything({})) == Renderer(one).render(everything({}))


def test_text_has_no_holes_where_an_if_said_no():
    content = source(text="Hello\n{% if person.city %}\nto {{ person.city }}\n{% endif %}\n\n\nBye" + TEXT_FOOTER)
    rendered = Renderer(compile_source(content)).render(nothing("festive", dict.fromkeys(_FESTIVE, "x")))
    assert rendered.text.startswith("Hello\n\nBye\n")


_FESTIVE = ("shop_url", "button", "button_url", "hero", "hero_alt", "title", "greeting")
