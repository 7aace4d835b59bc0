"""What there is to say of the broker, as of a store: whether it answers, how far the relay has come with it, how to mend it."""

from typing import Protocol

from contracts.errors import BrokerUnavailable
from functions.stores.condition import FAIL, Condition
from functions.stores.job_store import PUBLISH_CURSOR, JobStore

MEND = "start it, or correct OBSERVATORY_RABBITMQ_URL; jobs go on meanwhile, slower, and the events that wait go out when it answers"


class Watch(Protocol):
    address: str

    async def program(self) -> str:
        """What answers, with its version. Raises BrokerUnavailable."""


class BrokerCondition:
    """Its position is the relay's: up to there the broker has every event."""

    def __init__(self, store: JobStore, watch: Watch) -> None:
        self._store, self._watch = store, watch

    async def __call__(self) -> Condition:
        published = (await self._store.cursors()).get(PUBLISH_CURSOR, 0)
        try:
            program = await self._watch.program()
        except BrokerUnavailable as error:
            return Condition("broker", f"RabbitMQ at {self._watch.address}", FAIL, error.message, MEND, position=published)
        return Condition("broker", f"{program} at {self._watch.address}", position=published)
