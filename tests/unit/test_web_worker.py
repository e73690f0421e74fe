"""The web worker stands on gunicorn's insides: they are there, and a machine without threads to spare harms nobody."""

from __future__ import annotations

import inspect
import os
import socket
import threading
import tomllib
from contextlib import closing

import pytest
from gunicorn.config import Config
from gunicorn.workers.gthread import TConn, ThreadWorker
from packaging.requirements import Requirement

from tests.conftest import ROOT
from workers.web import MOST_FAREWELLS, Worker


@pytest.fixture
def worker():
    made = Worker(1, os.getpid(), [], None, 5, Config(), None)
    with closing(made.tmp):
        yield made


@pytest.fixture
def no_thread_to_spare():
    """No machine has so much memory for one stack."""
    usual = threading.stack_size(1 << 46)
    yield
    threading.stack_size(usual)


def test_what_we_change_of_gunicorn_is_still_there():
    assert list(inspect.signature(TConn.close).parameters) == ["self", "graceful"]
    assert inspect.signature(TConn.close).parameters["graceful"].default is False
    assert list(inspect.signature(ThreadWorker.finish_request).parameters) == ["self", "conn", "fs"]
    assert "conn.close(graceful=True)" in inspect.getsource(ThreadWorker.finish_request)


def test_only_the_gunicorn_that_we_know_from_the_inside_is_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (wanted,) = [one for one in map(Requirement, project["dependencies"]) if one.name == "gunicorn"]
    assert [version for version in ("23.0.0", "26.9", "27.0.1", "28.0.0") if version in wanted.specifier] == ["27.0.1"]


def test_a_farewell_that_gets_no_thread_is_none_and_keeps_no_place(worker, no_thread_to_spare):
    for _ in range(MOST_FAREWELLS):
        ours, theirs = socket.socketpair()
        with theirs:
            worker._close(TConn(worker.cfg, ours, None, None), graceful=True)
            assert ours.fileno() == -1
            assert theirs.recv(1) == b""
    places = [worker._farewells.acquire(blocking=False) for _ in range(MOST_FAREWELLS)]
    assert all(places)
