import base64
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from config.settings import Settings, SettingsProblems

README = Path(__file__).parents[2] / "README.md"
SECRET = "hunter2-and-more"


def problems(**environ: str) -> list[str]:
    with pytest.raises(SettingsProblems) as caught:
        Settings.from_env(environ)
    return caught.value.problems


def test_an_empty_environment_is_enough():
    settings = Settings.from_env({})
    assert settings.database_url is None
    assert settings.redis_url is None
    assert settings.smtp_url is None
    assert settings.root_key is None
    assert settings.data == Path("var/askfirst")
    assert settings.public_url == "https://localhost"
    assert settings.web_threads == 16


def test_all_problems_are_reported_at_once_each_by_its_name():
    found = problems(
        DATABASE_URL="mysql://h/x", REDIS_URL="http://h", PUBLIC_URL="http://h", WEB_THREADS="four", SHOP_ZONE="Mars"
    )
    assert [problem.split()[0] for problem in found] == [
        "DATABASE_URL",
        "PUBLIC_URL",
        "REDIS_URL",
        "SHOP_ZONE",
        "WEB_THREADS",
    ]


def test_no_secret_shows_in_a_problem():
    found = problems(
        DATABASE_URL=f"mysql://u:{SECRET}@h/x",
        SMTP_URL=f"smtp+plain://u:{SECRET}@mail.example.com",
        REDIS_URL=f"redis://:{SECRET}@h:port",
        ASKFIRST_ROOT_KEY=SECRET,
    )
    assert len(found) == 4
    assert SECRET not in "".join(found)


def test_no_secret_shows_in_repr():
    key = b"k" * 32
    settings = Settings.from_env(
        {
            "DATABASE_URL": f"postgresql://u:{SECRET}@h/x",
            "DATABASE_OWNER_URL": f"postgresql://o:{SECRET}@h/x",
            "REDIS_URL": f"redis://:{SECRET}@h",
            "SMTP_URL": f"smtp://u:{SECRET}@mail.example.com",
            "SENDGRID_API_KEY": SECRET,
            "ASKFIRST_ROOT_KEY": key.hex(),
        }
    )
    shown = repr(settings) + str(settings)
    assert SECRET not in shown
    assert key.hex() not in shown
    assert repr(key) not in shown


def test_settings_are_frozen():
    with pytest.raises(ValidationError):
        Settings.from_env({}).workers = 3


@given(st.binary(min_size=32, max_size=64))
def test_a_root_key_is_read_from_hexadecimal_and_base64(key):
    written = [key.hex(), base64.b64encode(key).decode(), base64.urlsafe_b64encode(key).decode().rstrip("=")]
    for text in written:
        assert Settings.from_env({"ASKFIRST_ROOT_KEY": text}).root_key == key


@pytest.mark.parametrize("short", ["00" * 31, base64.b64encode(b"x" * 31).decode()])
def test_a_short_root_key_is_refused(short):
    assert problems(ASKFIRST_ROOT_KEY=short) == ["ASKFIRST_ROOT_KEY must be at least 32 random bytes"]


@pytest.mark.parametrize("host", ["mail.example.com", "192.0.2.1", "127.0.0.1.example.com", "localhost.example.com"])
def test_clear_text_smtp_is_for_this_machine_only(host):
    assert problems(SMTP_URL=f"smtp+plain://{host}:25")[0].startswith("SMTP_URL smtp+plain://")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]"])
def test_clear_text_smtp_to_this_machine_is_allowed(host):
    assert Settings.from_env({"SMTP_URL": f"smtp+plain://{host}:2525"}).smtp_url


@pytest.mark.parametrize(
    "url", ["http://shop.example.com", "https://", "https://u@h", "https://h/?a=1", "https://h:port"]
)
def test_the_public_address_must_be_https_and_plain(url):
    assert problems(PUBLIC_URL=url)[0].startswith("PUBLIC_URL")


def test_fewer_threads_than_waiting_opt_outs_need_are_refused():
    """The send protocol: 16 or more, so that opt-outs that wait never block other people."""
    assert problems(WEB_THREADS="15")[0].startswith("WEB_THREADS")


def test_a_variable_that_is_set_but_empty_counts_as_not_set():
    assert Settings.from_env({"DATABASE_URL": "", "SMTP_URL": " "}) == Settings.from_env({})


def test_settings_survive_the_way_to_a_child_process():
    settings = Settings.from_env(
        {"ASKFIRST_ROOT_KEY": "ab" * 32, "WORKERS": "3", "DATABASE_URL": "postgresql://u:p@/x?host=/run/x"}
    )
    assert Settings.from_env(settings.environ()) == settings


def test_changed_settings_are_checked_too():
    with pytest.raises(ValidationError):
        Settings.from_env({}).replace(public_url="http://h")


@dataclass(frozen=True)
class Row:
    name: str
    default: str


def readme_rows() -> dict[str, Row]:
    table = README.read_text().split("## Settings", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    return {row[1].strip(" `"): Row(row[1], row[2].strip().strip("`")) for row in rows}


def test_the_readme_lists_every_setting_and_no_other():
    assert set(readme_rows()) == {str(field.alias) for field in Settings.model_fields.values()}


def test_the_readme_gives_the_defaults_that_hold():
    rows, settings = readme_rows(), Settings.from_env({})
    for name in ("public_url", "sendgrid_host", "web_listen", "web_threads", "workers", "shop_zone", "log_level"):
        alias = str(Settings.model_fields[name].alias)
        assert rows[alias].default == str(getattr(settings, name))
    assert rows["ASKFIRST_DATA"].default == f"./{settings.data}"


def test_several_providers_are_named_by_what_follows_the_variable():
    settings = Settings.from_env(
        {
            "SMTP_URL": "smtps://mx.example.com",
            "SMTP_URL_NEWS_LETTERS": "smtps://relay.example.net",
            "SENDGRID_API_KEY_OFFERS": "SG.x",
            "SMTP_URL_GONE": " ",
        }
    )
    assert settings.providers == ("smtp", "smtp-news-letters", "sendgrid-offers")
    assert Settings.from_env(settings.environ()) == settings
    assert Settings.from_env({}).providers == ()
    both = Settings.from_env({"SMTP_URL": "smtps://mx.example.com", "SENDGRID_API_KEY": "SG.x"})
    assert both.providers == ("sendgrid", "smtp")


def test_a_named_provider_is_checked_like_the_first_and_keeps_its_secret():
    bad = f"smtp+plain://u:{SECRET}@mail.example.com"
    found = problems(SMTP_URL_NEWS=bad, SMTP_URL=bad, SMTP_URL_Ä="smtps://relay.example.net")
    assert [problem.split()[0] for problem in found] == ["SMTP_URL", "SMTP_URL_NEWS"]
    assert SECRET not in "".join(found)
    assert "not letters" in problems(SMTP_URL_Ä="smtps://relay.example.net")[0]
    good = Settings.from_env({"SMTP_URL_NEWS": f"smtps://u:{SECRET}@h", "SENDGRID_API_KEY_NEWS": SECRET})
    assert SECRET not in repr(good)


def test_domains_that_can_be_written_back_to_are_domains():
    assert Settings.from_env({"INBOUND_DOMAINS": "Mail.example.com, example.org"}).inbound_domains == (
        "mail.example.com",
        "example.org",
    )
    assert Settings.from_env({}).inbound_domains == ()
    assert "INBOUND_DOMAINS" in problems(INBOUND_DOMAINS="mail@example.com")[0]
