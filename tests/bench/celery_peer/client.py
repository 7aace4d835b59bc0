"""The peer's load client: submits no-op tasks, singly or in groups, over so many connections; reports as tests/bench/client.py does.

Each thread has a connection of the pool and publishes its next message when the one before is confirmed.
"""

import argparse
import json
import sys
import threading
import time

from celery import group
from noops import app, noop


def submit(tasks: int, batch: int) -> int:
    """How many were published."""
    with app.producer_pool.acquire(block=True) as producer:
        if batch == 1:
            for _ in range(tasks):
                noop.apply_async(producer=producer)
            return tasks
        for _ in range(tasks // batch):
            group([noop.s()] * batch).apply_async(producer=producer, add_to_parent=False)
        return tasks // batch * batch


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, required=True)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--connections", type=int, default=4)
    given = parser.parse_args()
    with app.producer_pool.acquire(block=True) as producer:  # its modules and its first connection are no part of the load
        producer.connection.ensure_connection(max_retries=3)
    shares = [len(range(number, given.jobs // given.batch, given.connections)) * given.batch for number in range(given.connections)]
    published: list[int] = []
    threads = [threading.Thread(target=lambda share=share: published.append(submit(share, given.batch))) for share in shares if share]
    spent, began = time.process_time(), time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = {"began": began, "ended": time.monotonic(), "accepted": sum(published), "processor_seconds": time.process_time() - spent}
    json.dump(report, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
