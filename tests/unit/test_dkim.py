"""Our signatures hold before an independent verifier, and break when anything signed is touched (checks 4, 5, 50)."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from uuid import uuid4

import dkim as verifier
import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given
from hypothesis import strategies as st

from config.settings import DkimKey, Settings, SettingsProblems
from mailer import dkim
from mailer.message import Marketing, Sender, build
from mailer.published import LookUpFailed, check, dmarc, organisation, spf
from workers.cli import main

NOW = 1_790_000_000
KEY = rsa.generate_private_key(65537, 2048)
SIGNER = dkim.Signer("example.com", "2026a", KEY)


def message(marketing=True, html="<p>Dear Priya,  दीपावली</p>\n.\n"):
    return build(
        sender=Sender("Anaar", "hello@mail.example.com", "mail.example.com", reply_to="care@example.com"),
        recipient="priya@example.com",
        subject="Diwali 🪔 " + "long words " * 12,
        html=html,
        text="Hello \n\n\n",
        date=datetime(2026, 11, 8, tzinfo=UTC),
        attempt_id=uuid4(),
        marketing=Marketing(7, "festive", "festivals", "https://mail.example.com/u/" + "t" * 300, "u@mail.example.com")
        if marketing
        else None,
    )


def holds(signed, signer=SIGNER):
    name, value = signer.record()
    records = {f"{name}.".encode(): value.encode()}
    on_the_wire = signed if signed.endswith(b"\r\n") else signed + b"\r\n"
    return verifier.verify(on_the_wire, dnsfunc=lambda name, **_: records.get(name))


def names_signed(signed):
    header = re.search(rb"h=([^;]+);", signed).group(1)
    return re.sub(rb"\s", b"", header).decode().split(":")


SIGNED = SIGNER.sign(message(), NOW)
PRESENT = [line.split(b":")[0] for line in message().split(b"\r\n\r\n")[0].split(b"\r\n") if line[:1] not in b" \t"]


def test_the_signature_holds():
    assert holds(SIGNED)
    assert SIGNED.endswith(message()[-200:])


def test_both_unsubscribe_headers_and_the_feedback_id_are_signed():
    """Check 4: RFC 8058 s.3.1; check 22."""
    assert {"list-unsubscribe", "list-unsubscribe-post", "feedback-id", "from", "subject"} <= set(names_signed(SIGNED))


def test_the_domain_is_that_of_the_sender_or_above_it():
    """Check 50: d= is aligned with From."""
    assert b"d=example.com; s=2026a; t=1790000000;" in SIGNED
    assert KEY.key_size == dkim.KEY_BITS == 2048


@pytest.mark.parametrize("name", PRESENT)
def test_changing_any_header_breaks_it(name):
    """Check 4: every header of the message, one after the other."""
    changed = re.sub(rb"(?m)^(" + name + rb": .)", rb"\1x", SIGNED, count=1)
    assert changed != SIGNED
    assert not holds(changed)


@pytest.mark.parametrize("name", PRESENT)
def test_taking_any_header_away_breaks_it(name):
    gone = re.sub(rb"(?m)^" + name + rb": [^\r]*(\r\n[ \t][^\r]*)*\r\n", b"", SIGNED, count=1)
    assert gone != SIGNED
    assert not holds(gone)


@pytest.mark.parametrize("name", [b"From", b"Subject", b"List-Unsubscribe", b"List-Unsubscribe-Post", *PRESENT])
def test_a_second_copy_before_or_after_breaks_it(name):
    """Check 5: oversigned (RFC 6376 s.8.15). A reader that shows the first, or the last, is never fooled."""
    second = name + b": <https://evil.example/>\r\n"
    assert not holds(second + SIGNED)
    head, _, body = SIGNED.partition(b"\r\n\r\n")
    assert not holds(head + b"\r\n" + second.rstrip() + b"\r\n\r\n" + body)


@pytest.mark.parametrize("name", [b"List-Unsubscribe", b"List-Unsubscribe-Post", b"Reply-To"])
def test_a_notice_can_not_be_given_what_it_has_not(name):
    """Check 18: a notice has no unsubscribe header, and nobody can add one."""
    notice = build(
        sender=Sender("Anaar", "hello@mail.example.com", "mail.example.com"),
        recipient="priya@example.com",
        subject="Confirm",
        html="<p>-</p>",
        text="-",
        date=datetime(2026, 11, 8, tzinfo=UTC),
        attempt_id=uuid4(),
        marketing=None,
    )
    signed = SIGNER.sign(notice, NOW)
    assert holds(signed)
    assert not holds(name + b": <https://evil.example/>\r\n" + signed)


def test_changing_the_body_breaks_it_and_blanks_at_line_ends_do_not():
    """RFC 6376 s.3.4.4: what servers on the way are known to do."""
    assert not holds(SIGNED.replace(b"Dear Priya", b"Dear Puja"))
    assert holds(SIGNED.replace(b"--=_askfirst\r\n", b"--=_askfirst  \t\r\n") + b"\r\n\r\n")


def test_refolding_and_the_case_of_names_do_not_matter():
    assert holds(SIGNED.replace(b"MIME-Version: 1.0", b"mime-version:\r\n   1.0"))


@given(st.binary(max_size=300))
def test_any_body_is_signed_as_others_read_it(body):
    """Blanks, tabs, dots and lone line ends in every order."""
    body = body.replace(b"\r", b"").replace(b"\n", b"\r\n")
    assert holds(SIGNER.sign(b"From: a@example.com\r\nSubject: x\r\n\r\n" + body, NOW))


@given(st.lists(st.sampled_from([b" ", b"\t", b"\r\n", b"a", b"."]), max_size=40).map(b"".join))
def test_blanks_in_every_order_are_signed_as_others_read_them(body):
    assert holds(SIGNER.sign(b"From: a@example.com\r\nSubject: x\r\n\r\n" + body, NOW))


def test_no_line_of_the_signature_is_long():
    """Check 28."""
    head = SIGNED[: SIGNED.index(b"\r\nFrom:")]
    assert max(len(line) for line in head.split(b"\r\n")) <= 78


# -- keys --------------------------------------------------------------------------------------------------


@pytest.fixture
def key_file(tmp_path):
    def made(name="key.pem", mode=0o600, key=KEY):
        file = tmp_path / name
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        file.chmod(mode)
        return file

    return made


def test_the_newest_key_signs_and_the_old_one_stays_published(key_file):
    """Rotation: mail on the way is still checked against the old record."""
    old, new = key_file("old.pem"), key_file("new.pem", key=rsa.generate_private_key(65537, 2048))
    signers = dkim.load([DkimKey("example.com", "2025", old), DkimKey("example.com", "2026", new)])
    assert b"s=2026;" in signers.sign(message(), "mail.example.com", NOW)
    assert [signer.selector for signer in signers.all] == ["2025", "2026"]


def test_the_nearest_domain_signs_and_a_stranger_is_not_signed_for(key_file):
    signers = dkim.load([DkimKey("example.com", "a", key_file()), DkimKey("mail.example.com", "b", key_file())])
    assert signers.of("news.mail.example.com").selector == "b"
    assert signers.of("shop.example.com").selector == "a"
    assert signers.of("example.org") is None
    assert signers.sign(b"From: a@example.org\r\n\r\n", "example.org", NOW) == b"From: a@example.org\r\n\r\n"


def test_a_key_that_others_can_read_is_refused(key_file):
    with pytest.raises(dkim.BadKey, match="chmod 600"):
        dkim.load([DkimKey("example.com", "a", key_file(mode=0o644))])


def test_a_key_that_is_none_is_refused_by_its_name_only(tmp_path, key_file):
    (tmp_path / "not.pem").write_bytes(b"secret words")
    (tmp_path / "not.pem").chmod(0o600)
    weak = key_file("weak.pem", key=ed25519.Ed25519PrivateKey.generate())
    for file in (tmp_path / "missing.pem", tmp_path / "not.pem", weak):
        with pytest.raises(dkim.BadKey, match=file.name) as caught:
            dkim.load([DkimKey("example.com", "a", file)])
        assert "secret words" not in str(caught.value)


def test_keys_are_settings_by_reference_and_survive_the_way_to_a_child():
    settings = Settings.from_env({"DKIM_KEYS": "Example.com:2025=/a.pem, example.com:2026=/b.pem"})
    assert [(key.domain, key.selector, str(key.path)) for key in settings.dkim_keys] == [
        ("example.com", "2025", "/a.pem"),
        ("example.com", "2026", "/b.pem"),
    ]
    assert Settings.from_env(settings.environ()) == settings
    assert "a.pem" not in repr(settings)
    assert "PRIVATE" not in repr(SIGNER)


@pytest.mark.parametrize("value", ["example.com=/a.pem", "example.com:2026", "exa mple.com:a=/x", "example.com:;=/x"])
def test_a_key_setting_that_is_none_says_how_one_looks(value):
    with pytest.raises(SettingsProblems, match="DKIM_KEYS must be domain:selector=/path"):
        Settings.from_env({"DKIM_KEYS": value})


# -- what is published -------------------------------------------------------------------------------------


def published(**changes):
    name, value = SIGNER.record()
    records = {
        name: [value],
        "mail.example.com": ["google-site-verification=x", "v=spf1 include:mail.example.com -all"],
        "_dmarc.example.com": ["v=DMARC1; p=none; rua=mailto:d@example.com"],
    } | changes
    return lambda asked: records.get(asked, [])


def findings(look_up, domain="mail.example.com", **options):
    return {f.subject: f.fine for f in check(domain, dkim.Signers([SIGNER]), look_up, **options)}


def test_all_is_well_where_key_spf_and_policy_are_published():
    """Check 49: the policy of the organisational domain counts for its sub-domains."""
    assert findings(published()) == {"DKIM 2026a": True, "SPF": True, "DMARC": True}


@pytest.mark.parametrize(
    "changes, subject",
    [
        ({SIGNER.record()[0]: []}, "DKIM 2026a"),
        ({SIGNER.record()[0]: ["v=DKIM1; p="]}, "DKIM 2026a"),
        ({SIGNER.record()[0]: ["v=DKIM1; p=AAAA"]}, "DKIM 2026a"),
        ({SIGNER.record()[0]: [SIGNER.record()[1]] * 2}, "DKIM 2026a"),
        ({"mail.example.com": []}, "SPF"),
        ({"mail.example.com": ["v=spf1 -all", "v=spf1 ~all"]}, "SPF"),
        ({"mail.example.com": ["v=spf1 +all"]}, "SPF"),
        ({"mail.example.com": ["v=spf1 all"]}, "SPF"),
        ({"_dmarc.example.com": []}, "DMARC"),
        ({"_dmarc.example.com": ["v=DMARC1; p=none"] * 2}, "DMARC"),
        ({"_dmarc.example.com": ["v=DMARC1; rua=mailto:x@example.com"]}, "DMARC"),
    ],
)
def test_each_thing_that_is_missing_or_wrong_shows(changes, subject):
    """Check 49: the matrix, one at a time."""
    assert [name for name, fine in findings(published(**changes)).items() if not fine] == [subject]


def test_a_record_split_by_blanks_is_the_same_key():
    name, value = SIGNER.record()
    assert findings(published(**{name: [value.replace("p=", "p= ").replace("A", " A", 3)]}))["DKIM 2026a"]


def test_a_return_path_of_another_organisation_is_not_aligned():
    look_up = published(**{"bounces.example.net": ["v=spf1 -all"]})
    assert findings(look_up, return_domain="bounces.example.net")["SPF"] is not True
    told = check("mail.example.com", dkim.Signers([SIGNER]), look_up, return_domain="bounces.example.net")
    assert [f.words for f in told if f.fine is False] == [
        "the return path's domain bounces.example.net is another organisation's: SPF does not count for DMARC"
    ]


def test_a_resolver_that_is_silent_is_no_finding():
    def silent(name):
        raise LookUpFailed("Timeout")

    assert set(findings(silent).values()) == {None}


def test_an_organisation_is_what_was_registered():
    assert organisation("mail.shop.example.co.in") == "example.co.in"
    assert spf("example.com", lambda _: ["v=spf10"]).fine is False
    assert dmarc("a.example.co.in", lambda name: ["v=DMARC1; p=reject"] if name == "_dmarc.example.co.in" else []).fine


# -- the command -------------------------------------------------------------------------------------------


def test_new_makes_a_key_for_its_owner_only_and_says_what_to_publish(tmp_path):
    told = CliRunner().invoke(main, ["--data", str(tmp_path), "dkim", "new", "example.com", "2026a"])
    assert told.exit_code == 0, told.output
    file = tmp_path / "dkim" / "example.com.2026a.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "2026a._domainkey.example.com. TXT" in told.output
    strings = re.findall(r'"([^"]*)"', told.output)
    assert all(len(one) <= 255 for one in strings)
    (signer,) = dkim.load([DkimKey("example.com", "2026a", file)]).all
    assert "".join(strings) == signer.record()[1]
    assert signer.key.key_size == 2048
    assert f"DKIM_KEYS=example.com:2026a={file}" in told.output
    assert "PRIVATE" not in told.output


def test_new_never_writes_over_a_key(tmp_path):
    given = ["--data", str(tmp_path), "dkim", "new", "example.com", "2026a"]
    assert CliRunner().invoke(main, given).exit_code == 0
    before = (tmp_path / "dkim" / "example.com.2026a.pem").read_bytes()
    told = CliRunner().invoke(main, given)
    assert told.exit_code == 1
    assert "never written over" in told.output
    assert (tmp_path / "dkim" / "example.com.2026a.pem").read_bytes() == before


def test_new_refuses_what_is_no_domain(tmp_path):
    assert CliRunner().invoke(main, ["--data", str(tmp_path), "dkim", "new", "../x", "a"]).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_check_tells_each_finding_and_ends_with_1_unless_all_is_well(tmp_path, key_file):
    from workers.commands.dkim import command

    settings = Settings.from_env({"DKIM_KEYS": f"example.com:2026a={key_file()}"})

    def told(look_up):
        with_resolver = {"obj": settings, "meta": {"askfirst.look_up": look_up}}
        return checked(command, with_resolver)

    fine = told(published())
    assert (fine.exit_code, fine.output.count("ok ")) == (0, 3)
    bad = told(published(**{"_dmarc.example.com": []}))
    assert bad.exit_code == 1
    assert "problem  DMARC" in bad.output


def checked(command, given):
    """Run `dkim check` with a resolver of our own in the context."""
    import click

    @click.group()
    @click.pass_context
    def outer(ctx):
        ctx.obj = given["obj"]
        ctx.meta.update(given["meta"])

    outer.add_command(command, "dkim")
    return CliRunner().invoke(outer, ["dkim", "check", "mail.example.com"])
