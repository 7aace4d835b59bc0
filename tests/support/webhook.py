"""A subscriber outside: an HTTP server that takes events, answers what a test says, and remembers what it took."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TRIGGER = """
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: {name}}}
spec:
  broker: observatory
  filter: {{attributes: {{type: dev.observatory.job.succeeded.v1}}}}
  subscriber: {{uri: "{url}"}}
  delivery:
    retry: 1
    backoffPolicy: linear
    backoffDelay: PT0.1S
    deadLetterSink:
      ref: {{apiVersion: serving.knative.dev/v1, kind: Service, name: dead-letter}}
      uri: /triggers/{name}
"""


class Webhook:
    """Answers `status` after some `seconds`; `taken` holds the events (attributes and `data`), `headers` what each came with."""

    def __init__(self, status: int = 204) -> None:
        self.status = status
        self.seconds = 0.0
        self.taken: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                time.sleep(hook.seconds)
                if hook.status < 300:
                    headers = {name.lower(): value for name, value in self.headers.items()}
                    attributes = {name[3:]: value for name, value in headers.items() if name.startswith("ce-")}
                    hook.headers.append(headers)
                    hook.taken.append({**attributes, "data": json.loads(body)})
                self.send_response(hook.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextlib.contextmanager
def listening(*statuses: int) -> Iterator[list[Webhook]]:
    """Webhooks that answer these statuses."""
    hooks = [Webhook(status) for status in statuses]
    try:
        yield hooks
    finally:
        for hook in hooks:
            hook.close()


def lead_to(folder: Path, name: str, hook: Webhook, noun: str = "job.succeeded") -> None:
    """Writes a Trigger of this name, by which such events are told to the hook; what it does not take is a dead letter."""
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(TRIGGER.format(name=name, url=hook.url).replace("job.succeeded", noun))
