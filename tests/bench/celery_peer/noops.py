"""The peer's application: one task that does nothing, under the guarantees that our system gives.

Late acknowledgement, publisher confirms, persistent messages, every result in PostgreSQL; its worker runs with events on (-E).
"""

import os

from celery import Celery

app = Celery("noops", broker=os.environ["PEER_BROKER"], backend=os.environ["PEER_RESULTS"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_default_delivery_mode="persistent",
    broker_transport_options={"confirm_publish": True},
    broker_pool_limit=int(os.environ.get("PEER_CONNECTIONS", "10")),
    broker_connection_retry_on_startup=True,
    result_expires=None,
    task_ignore_result=False,
)


@app.task(name="demo.noop")
def noop() -> None:
    return None
