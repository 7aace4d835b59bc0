"""A load of every kind by HTTP, with both ledgers kept: what is asked, what is answered, what is sent again."""

import http.client
import json
import random
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.ledger import NONCE, Item, Ledger

REQUESTED = "dev.observatory.job.requested.v1"
UNKNOWN = "whether it was is not known"  # says the one 503 after which a submission may be there: PostgreSQL's connection went in the commit
SEND_SECONDS = 15.0
GIVE_UP = 0.3  # the part of unanswered requests that a client never sends again
WISHES = 0.15  # how often a request is followed by the wish to cancel or retry some job
CALM_SECONDS = 0.02  # the mean pause of a client between two requests

PAYLOADS: list[tuple[int, str, Callable[[random.Random], dict[str, Any]]]] = [
    (50, "test.note", lambda dice: {}),
    (10, "test.sleep", lambda dice: {"seconds": round(dice.uniform(0.01, 0.15), 3)}),
    (12, "test.fail", lambda dice: {"times": dice.randint(1, 2)}),
    (12, "test.steps", lambda dice: {"steps": ["a", "b", "c"][: dice.randint(1, 3)], "seconds": 0.01}),
    (4, "test.snooze", lambda dice: {"times": 1}),
    (3, "test.permanent", lambda dice: {}),
    (2, "test.die", lambda dice: {"times": 1}),
    (1, "test.spin", lambda dice: {"times": 1}),
]


class Load:
    """Some clients, each its own thread. `address` gives the system's current URL; all follows from `seed` but the timing."""

    def __init__(self, address: Callable[[], str], ledger: Path, seed: str, *, clients: int = 3, calm: float = CALM_SECONDS) -> None:
        self._address, self._seed, self._calm = address, seed, calm
        self.ledger = Ledger(ledger)
        self.heavy = False
        """Whether payloads are large, so that the store's log fills."""
        self.complaints: list[str] = []
        self._going = threading.Event()
        self._over = threading.Event()
        self._clients = [_Client(self, f"{seed}-{number}") for number in range(clients)]
        self._threads = [threading.Thread(target=client.live, name=f"client-{client.name}", daemon=True) for client in self._clients]
        for thread in self._threads:
            thread.start()

    def go(self) -> None:
        """Sends new requests from now on."""
        self._going.set()

    def rest(self) -> None:
        """Sends no new ones."""
        self._going.clear()

    def settle(self, seconds: float = 240.0) -> None:
        """Lets every request that is still to be sent again find its answer, and ends the clients."""
        self.rest()
        deadline = time.monotonic() + seconds
        while any(client.owes for client in self._clients):
            if time.monotonic() > deadline:
                raise AssertionError(f"{sum(client.owes for client in self._clients)} requests found no answer in {seconds:g} s")
            time.sleep(0.01)
        self._over.set()
        for thread in self._threads:
            thread.join(SEND_SECONDS)
        self.ledger.close()


class _Client:
    def __init__(self, load: Load, name: str) -> None:
        self.name = name
        self._load, self._dice = load, random.Random(name)
        self._again: list[tuple[str, list[Item]]] = []
        self._known: list[tuple[str, Item]] = []  # answered, under a key
        self._jobs: list[str] = []
        self._number = 0
        self._busy = False
        self._connection: http.client.HTTPConnection | None = None
        self._host = ""

    @property
    def owes(self) -> int:
        """How many requests are under way or to be sent again."""
        return len(self._again) + self._busy

    # ---- what to send -----------------------------------------------------------------------------------------

    def live(self) -> None:
        while not self._load._over.is_set():
            if self._again:
                self._busy = True
                self._send(*self._again.pop(0))
                self._busy = False
            elif self._load._going.is_set():
                self._busy = True
                self._send(*self._new())
                if self._jobs and self._dice.random() < WISHES:
                    self._wish(self._dice.choice(self._jobs[-50:]))
                self._busy = False
                time.sleep(self._dice.expovariate(1 / self._load._calm))
            else:
                time.sleep(0.005)
        self._drop_connection()

    def _new(self) -> tuple[str, list[Item]]:
        way = self._dice.choices(["single", "batch", "event", "events", "repeat", "conflict", "invalid"], [8, 5, 4, 2, 1, 1, 1])[0]
        if way in ("repeat", "conflict") and self._known:
            known, item = self._dice.choice(self._known)
            return known, [item if way == "repeat" else Item({**item.request, "payload": self._payload({})}, item.key)]
        if way in ("batch", "events"):
            return way, [self._item(way, index) for index in range(self._dice.randint(2, 12))]
        if way == "invalid":
            return "single", [Item({"type": self._dice.choice(["no.such", "test.note"]), "payload": self._payload({}), "priority": 17})]
        return ("event" if way == "event" else "single"), [self._item(way)]

    def _payload(self, parts: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        filling = {"filling": "x" * self._dice.randint(20_000, 60_000)} if self._load.heavy else {}
        return {NONCE: f"{self.name}-{self._number}", **parts, **filling}

    def _item(self, way: str, index: int = 0) -> Item:
        dice = self._dice
        _, job_type, parts = dice.choices(PAYLOADS, [weight for weight, *_ in PAYLOADS])[0]
        request: dict[str, Any] = {"type": job_type, "payload": self._payload(parts(dice))}
        if dice.random() < 0.3:
            request["priority"] = dice.randint(0, 9)
        if dice.random() < 0.2:
            request["queue"] = "bulk"
        if dice.random() < 0.1:
            request["delay_seconds"] = round(dice.uniform(0, 0.5), 3)
        if way == "batch" and index and dice.random() < 0.15:
            request |= {"depends_on": [f"#{dice.randrange(index)}"], "on_parent_failure": dice.choice(["run", "cancel"])}
        nonce = request["payload"][NONCE]
        if way in ("event", "events"):
            return Item(request, f"ce:urn:test:{self.name} {nonce}")
        return Item(request, f"key:{nonce}" if way == "batch" or dice.random() < 0.7 else None)

    # ---- sending ----------------------------------------------------------------------------------------------

    def _send(self, way: str, items: list[Item]) -> None:
        number = self._load.ledger.ask(way, items)
        try:
            status, answer = self._exchange(*_message(way, items, self._dice))
        except (OSError, http.client.HTTPException):
            self._drop_connection()
            time.sleep(0.02)
            self._unanswered(way, items)
            return
        if status >= 500:
            self._load.ledger.answer(number, status, [], unknown=isinstance(answer, dict) and UNKNOWN in str(answer.get("detail")))
            time.sleep(0.02)
            self._unanswered(way, items)
            return
        if len(items) > 1 and status != 200:
            self._load.complaints.append(f"I14: a batch of {len(items)} was answered with {status}: {answer}")
        answers = _answers(items, way, status, answer)
        self._load.ledger.answer(number, status, answers)
        self._jobs += [job_id for _, job_id in answers if job_id is not None]
        self._known += [(way, item) for item, (code, _) in zip(items, answers, strict=True) if item.key is not None and 200 <= code < 300]
        if answers[0][1] is not None and self._dice.random() < 0.05:
            self._read_own_write(answers[0][1])

    def _unanswered(self, way: str, items: list[Item]) -> None:
        """Sent again under the same keys, or never; without a key it must not be."""
        if all(item.key is not None for item in items) and self._dice.random() >= GIVE_UP:
            self._again.append((way, items))

    def _wish(self, job_id: str) -> None:
        """A person's wish for a job, in whatever state it is."""
        path = f"/v1/jobs/{job_id}/{self._dice.choice(['cancel', 'retry'])}"
        status = self._status("POST", path)
        if status not in (202, 409, 503, None):
            self._load.complaints.append(f"I14: {path} was answered with {status}")

    def _read_own_write(self, job_id: str) -> None:
        status = self._status("GET", f"/v1/jobs/{job_id}")
        if status not in (200, 503, None):
            self._load.complaints.append(f"I17: job {job_id} was answered 2xx, and then GET answered {status}")

    def _status(self, method: str, path: str) -> int | None:
        """None when no answer came."""
        try:
            return self._exchange(method, path, b"", {})[0]
        except (OSError, http.client.HTTPException):
            self._drop_connection()
            return None

    def _exchange(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
        host = urlsplit(self._load._address()).netloc
        if self._connection is None or host != self._host:
            self._drop_connection()
            self._host, self._connection = host, http.client.HTTPConnection(host, timeout=SEND_SECONDS)
        self._connection.request(method, path, body or None, headers)
        response = self._connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text else None

    def _drop_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _message(way: str, items: list[Item], dice: random.Random) -> tuple[str, str, bytes, dict[str, str]]:
    """Method, path, body and headers of a request."""
    json_type = {"content-type": "application/json"}
    if way == "batch":
        jobs = [{**item.request, "idempotency_key": (item.key or "").removeprefix("key:")} for item in items]
        return "POST", "/v1/jobs/batch", json.dumps({"jobs": jobs}).encode(), json_type
    if way == "single":
        key = {} if items[0].key is None else {"idempotency-key": items[0].key.removeprefix("key:")}
        return "POST", "/v1/jobs", json.dumps(items[0].request).encode(), json_type | key
    if way == "events":
        return "POST", "/", json.dumps([_event(item) for item in items]).encode(), {"content-type": "application/cloudevents-batch+json"}
    event = _event(items[0])
    if dice.random() < 0.5:
        return "POST", "/", json.dumps(event).encode(), {"content-type": "application/cloudevents+json"}
    attributes = {f"ce-{name}": value for name, value in event.items() if name not in ("data", "datacontenttype")}
    return "POST", "/", json.dumps(event["data"]).encode(), json_type | attributes


def _event(item: Item) -> dict[str, Any]:
    source, _, event_id = (item.key or f"ce:urn:test {uuid.uuid4()}").removeprefix("ce:").partition(" ")
    return {
        "specversion": "1.0", "id": event_id, "source": source, "type": REQUESTED, "datacontenttype": "application/json", "data": item.request,
    }  # fmt: skip


def _answers(items: list[Item], way: str, status: int, answer: Any) -> list[tuple[int, str | None]]:
    if way in ("batch", "events"):
        if status != 200:
            return [(status, None)] * len(items)
        return [(item["status"], item.get("id")) for item in answer["items"]]
    return [(status, answer.get("id") if status < 300 else None)]
