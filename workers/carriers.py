"""Who carries a campaign's mail: the provider that its sender names, and everything that depends on which one it is.

One of each per process, made when it is first wanted: a provider nobody sends with opens no connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from mailer.compose import Composer
from mailer.errors import InputProblem
from mailer.pick import Job
from mailer.providers.base import Provider
from workers.pacing import Paced
from workers.traffic import Traffic

BATCH_MOST = 64
"""Messages in a batch that go over connections of ours, one after the other."""


class NoCarrier(InputProblem):
    """A sender names a provider that the settings don't have. What it sends waits; everybody else goes on."""


@dataclass(frozen=True)
class Carrier:
    """A provider, what makes messages as it wants them, and how many it takes at once."""

    provider: Provider
    composer: Composer
    most: int = BATCH_MOST
    traffic: Traffic = field(init=False)
    """Whom it has to leave alone."""

    def __post_init__(self) -> None:
        """What its provider learns, and what is picked for it, go by the same knowledge."""
        provider = self.provider
        known = provider.traffic if isinstance(provider, Paced) else Traffic(provider.name)
        object.__setattr__(self, "traffic", known)


class Carriers:
    """The carriers of one worker process, by the name of their provider. One thread uses it."""

    def __init__(self, makers: Mapping[str, Callable[[], Carrier]], default: str) -> None:
        self._makers, self._default = makers, default
        self._made: dict[str, Carrier] = {}

    @classmethod
    def only(cls, carrier: Carrier) -> Carriers:
        """Return carriers of which there is one, for every sender that names no other."""
        return cls({carrier.provider.name: lambda: carrier}, carrier.provider.name)

    def of(self, session: Session, job: Job) -> Carrier:  # noqa: ARG002  (a carrier may come to depend on more)
        """Return who carries a job. Raises NoCarrier where its sender names one that is not there."""
        name = job.provider or self._default
        if name not in self._made:
            if name not in self._makers:
                raise NoCarrier(f"its sender uses the provider “{name}”, which the settings don't have")
            self._made[name] = self._makers[name]()
        return self._made[name]

    def close(self) -> None:
        """Let go of all connections."""
        for carrier in self._made.values():
            carrier.provider.close()
