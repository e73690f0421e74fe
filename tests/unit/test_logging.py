import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest
import structlog

from config.logging import bind, configure, get_logger, hash_address

ADDRESS = "Asha.Rao+diwali@mail.example.com"
TOKEN = "v1.1.AbCdEfGhIjKlMnOp.QrStUvWxYz012345"


@pytest.fixture
def lines() -> Iterator[Callable[[], list[dict[str, object]]]]:
    """Logging set up for one test: gives a function that returns the lines so far."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = list(root.handlers), root.level
    configure("info", key=b"k" * 32, stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def test_an_address_never_reaches_a_line(lines):
    log = get_logger("mailer")
    log.info(f"to {ADDRESS}", to=[ADDRESS], nested={"deep": (f"<{ADDRESS}>",)}, thing=ValueError(ADDRESS))
    logging.getLogger("library").warning("refused: %s", ADDRESS)
    try:
        raise ValueError(ADDRESS)
    except ValueError:
        log.exception("failed")
    text = json.dumps(lines())
    assert len(lines()) == 3
    assert "example.com" not in text
    assert text.count(hash_address(ADDRESS, b"k" * 32)) >= 6


def test_a_signed_link_never_reaches_a_line(lines):
    get_logger("web").info("opened", path=f"/u/{TOKEN}?x=1")
    assert lines()[0]["path"] == "/u/v1.[cut]?x=1"


def test_the_same_person_has_the_same_short_hash_however_the_address_is_written():
    assert hash_address(ADDRESS) == hash_address(f" {ADDRESS.upper()} ")
    assert len(hash_address(ADDRESS)) == 10


def test_hashes_of_one_installation_are_useless_to_another():
    assert hash_address(ADDRESS, b"a" * 32) != hash_address(ADDRESS, b"b" * 32)


def test_what_a_line_is_about_is_bound_for_the_block_only(lines):
    with bind(campaign=7):
        get_logger("x").info("inside")
    get_logger("x").info("outside")
    assert lines()[0]["campaign"] == 7
    assert "campaign" not in lines()[1]
