"""Every setting, read once from the environment into one frozen object.

All problems are reported together, each by the name of its variable. No secret has a default, and none shows in
`repr`, in an error or in a log.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import SplitResult, urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

ROOT_KEY_BYTES = 32
DATABASE_SCHEMES = {"postgresql", "postgresql+psycopg", "postgres"}
REDIS_SCHEMES = {"redis", "rediss", "unix"}
SMTP_SCHEMES = {"smtp", "smtps", "smtp+plain"}


class SettingsProblems(Exception):
    """The environment can't be used. `problems` has one sentence for each variable, and none holds a secret."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("These settings can't be used:\n" + "\n".join(f"  {problem}" for problem in problems))
        self.problems = problems


def _split(url: str, schemes: set[str]) -> SplitResult:
    """Return the parts of `url`; never quote it in an error, it may hold a password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("is not an address") from None
    if parts.scheme not in schemes:
        raise ValueError(f"must start with one of {', '.join(sorted(f'{scheme}://' for scheme in schemes))}")
    return parts


def _database(url: str) -> str:
    _split(url, DATABASE_SCHEMES)
    return url


def _redis(url: str) -> str:
    _split(url, REDIS_SCHEMES)
    return url


def is_loopback(host: str | None) -> bool:
    """Whether `host` can only be this machine, without asking any resolver."""
    try:
        return host == "localhost" or ip_address(host or "").is_loopback
    except ValueError:
        return False


def _smtp(url: str) -> str:
    parts = _split(url, SMTP_SCHEMES)
    if not parts.hostname:
        raise ValueError("names no host")
    if parts.scheme == "smtp+plain" and not is_loopback(parts.hostname):
        raise ValueError("smtp+plain:// sends in the clear and is for this machine only; use smtp:// or smtps://")
    return url


def _sendgrid(url: str) -> str:
    parts = _split(url, {"https", "http"})
    if not parts.hostname or parts.path.strip("/") or parts.username or parts.query or parts.fragment:
        raise ValueError("must be https:// and a host, and nothing else")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("would show the key to whoever listens: http:// is for this machine only")
    return url.rstrip("/")


@dataclass(frozen=True, slots=True)
class DkimKey:
    """Where a signing key lies, and under which selector its public half is published."""

    domain: str
    selector: str
    path: Path


def _dkim(given: object) -> object:
    if not isinstance(given, str):
        return given
    found = []
    for one in filter(None, (part.strip() for part in given.split(","))):
        name, equals, path = one.partition("=")
        domain, colon, selector = name.partition(":")
        if not (equals and colon and path) or not all(_NAME.fullmatch(part) for part in (domain, selector)):
            raise ValueError("must be domain:selector=/path/to/key.pem, several with commas, the newest last")
        found.append(DkimKey(domain.lower(), selector, Path(path)))
    return tuple(found)


_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?")


def _words(given: object) -> object:
    """Several values in one variable, with commas between."""
    return tuple(filter(None, (one.strip() for one in given.split(",")))) if isinstance(given, str) else given


def _domains(given: object) -> object:
    found = _words(given.lower() if isinstance(given, str) else given)
    if isinstance(found, tuple) and not all(isinstance(one, str) and _NAME.fullmatch(one) for one in found):
        raise ValueError("must be domains such as mail.example.com, with commas between")
    return found


def _public(url: str) -> str:
    parts = _split(url, {"https"})
    if not parts.hostname or parts.username or parts.query or parts.fragment:
        raise ValueError("must be https://, a host and perhaps a path, and nothing else")
    return url.rstrip("/")


def _root_key(given: object) -> object:
    if not isinstance(given, str):
        return given
    for decode in (bytes.fromhex, _base64):
        try:
            key = decode(given.strip())
        except (ValueError, binascii.Error):
            continue
        if len(key) < ROOT_KEY_BYTES:
            raise ValueError(f"must be at least {ROOT_KEY_BYTES} random bytes")
        return key
    raise ValueError("must be base64 or hexadecimal")


def _base64(text: str) -> bytes:
    padded = text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
    return base64.b64decode(padded, validate=True)


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("is not a time zone such as Asia/Kolkata") from None
    return name


def _helpline(address: str) -> str:
    local, at, domain = address.strip().rpartition("@")
    if not at or not _LOCAL.fullmatch(local) or not _NAME.fullmatch(domain):
        raise ValueError("is not an address such as care@example.com")
    return address.strip()


_LOCAL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}")


def _listen(address: str) -> str:
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("must be host:port; port 0 takes a free one")
    return address


PROVIDER_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
FAMILIES = {"smtp_urls": ("SMTP_URL", "smtp"), "sendgrid_api_keys": ("SENDGRID_API_KEY", "sendgrid")}
"""Fields that hold a whole family of variables: SMTP_URL_NEWS is the provider smtp-news."""


def _family(name: str) -> tuple[str, str] | None:
    """Field and name of a variable such as SMTP_URL_NEWS: `smtp_urls` and `news`."""
    for field, (variable, _) in FAMILIES.items():
        if name.startswith(f"{variable}_") and len(name) > len(variable) + 1:
            return field, name.removeprefix(f"{variable}_").lower().replace("_", "-")
    return None


def _named(given: dict[str, str]) -> dict[str, str]:
    for name in given:
        if not PROVIDER_NAME.fullmatch(name):
            raise ValueError("has a name after it that is not letters, digits and underscores")
    return given


class Settings(BaseModel):
    """The frozen settings of one process. Aliases are the names of the environment variables."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, populate_by_name=True)

    database_url: Annotated[str, AfterValidator(_database)] | None = Field(None, alias="DATABASE_URL", repr=False)
    database_owner_url: Annotated[str, AfterValidator(_database)] | None = Field(
        None, alias="DATABASE_OWNER_URL", repr=False
    )
    redis_url: Annotated[str, AfterValidator(_redis)] | None = Field(None, alias="REDIS_URL", repr=False)
    smtp_url: Annotated[str, AfterValidator(_smtp)] | None = Field(None, alias="SMTP_URL", repr=False)
    sendgrid_api_key: str | None = Field(None, alias="SENDGRID_API_KEY", repr=False)
    smtp_urls: Annotated[dict[str, Annotated[str, AfterValidator(_smtp)]], AfterValidator(_named)] = Field(
        {}, alias="SMTP_URL_<NAME>", repr=False
    )
    sendgrid_api_keys: Annotated[dict[str, str], AfterValidator(_named)] = Field(
        {}, alias="SENDGRID_API_KEY_<NAME>", repr=False
    )
    sendgrid_host: Annotated[str, AfterValidator(_sendgrid)] = Field("https://api.sendgrid.com", alias="SENDGRID_HOST")
    dkim_keys: Annotated[tuple[DkimKey, ...], BeforeValidator(_dkim)] = Field((), alias="DKIM_KEYS", repr=False)
    sendgrid_webhook_keys: Annotated[tuple[str, ...], BeforeValidator(_words)] = Field(
        (), alias="SENDGRID_WEBHOOK_KEYS"
    )
    inbound_domains: Annotated[tuple[str, ...], BeforeValidator(_domains)] = Field((), alias="INBOUND_DOMAINS")
    helpline_address: Annotated[str, AfterValidator(_helpline)] | None = Field(None, alias="HELPLINE_ADDRESS")
    public_url: Annotated[str, AfterValidator(_public)] = Field("https://localhost", alias="PUBLIC_URL")
    root_key: Annotated[bytes, BeforeValidator(_root_key)] | None = Field(None, alias="ASKFIRST_ROOT_KEY", repr=False)
    data: Path = Field(Path("var/askfirst"), alias="ASKFIRST_DATA")
    journal_copy: Path | None = Field(None, alias="JOURNAL_COPY")
    web_listen: Annotated[str, AfterValidator(_listen)] = Field("127.0.0.1:0", alias="WEB_LISTEN")
    web_threads: int = Field(16, alias="WEB_THREADS", ge=16, le=256)
    metrics_token: Annotated[str, Field(min_length=16)] | None = Field(None, alias="METRICS_TOKEN", repr=False)
    trusted_proxies: int = Field(0, alias="TRUSTED_PROXIES", ge=0, le=8)
    workers: int = Field(2, alias="WORKERS", ge=1, le=64)
    shop_zone: Annotated[str, AfterValidator(_zone)] = Field("Asia/Kolkata", alias="SHOP_ZONE")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", alias="LOG_LEVEL")

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Return the settings in `environ`, or raise `SettingsProblems` with every problem at once.

        A variable that is set but empty counts as not set.
        """
        names = {str(field.alias) for name, field in cls.model_fields.items() if name not in FAMILIES}
        given: dict[str, Any] = {name: environ[name] for name in names if environ.get(name, "").strip()}
        for name, value in environ.items():
            if value.strip() and (found := _family(name)) is not None:
                given.setdefault(str(cls.model_fields[found[0]].alias), {})[found[1]] = value
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise SettingsProblems(_sentences(error)) from None

    def replace(self, **changes: Any) -> Self:
        """Return these settings with `changes` (by field name), checked like the environment."""
        return type(self).model_validate({**dict(self), **changes}, by_name=True)

    def environ(self) -> dict[str, str]:
        """Return the variables that give these settings again: how a process hands them to its children."""
        fields = type(self).model_fields
        given = {str(field.alias): getattr(self, name) for name, field in fields.items() if name not in FAMILIES}
        for field, (variable, _) in FAMILIES.items():
            given |= {_variable(variable, name): value for name, value in getattr(self, field).items()}
        return {name: _written(value) for name, value in given.items() if value is not None}

    @property
    def providers(self) -> tuple[str, ...]:
        """The names of all who can carry mail. The first carries it for senders that name none."""
        own = [name for name, given in (("sendgrid", self.sendgrid_api_key), ("smtp", self.smtp_url)) if given]
        more = [f"{kind}-{name}" for field, (_, kind) in FAMILIES.items() for name in sorted(getattr(self, field))]
        return (*own, *more)


def _variable(variable: str, name: str) -> str:
    return f"{variable}_{name.upper().replace('-', '_')}"


def _written(value: object) -> str:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return ",".join(one if isinstance(one, str) else f"{one.domain}:{one.selector}={one.path}" for one in value)
    return str(value)


def _sentences(error: ValidationError) -> list[str]:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return sorted(f"{_place(one['loc'])} {one['msg'].removeprefix('Value error, ')}" for one in found)


def _place(loc: tuple[int | str, ...]) -> str:
    """The variable that a problem is about; of a family its member."""
    first = str(loc[0])
    return _variable(first.removesuffix("_<NAME>"), str(loc[1])) if first.endswith(">") and len(loc) > 1 else first
