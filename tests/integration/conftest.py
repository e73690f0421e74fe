"""The steps of a worker on a campaign that sends."""

from __future__ import annotations

import pytest

from tests.sending import Sending


@pytest.fixture
def sends(committed, keys) -> Sending:
    return Sending(committed, keys)
