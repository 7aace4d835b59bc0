"""A package of tasks of one's own: `OBSERVATORY_TASKS=functions.examples.greetings make run`, or on a cluster
`make deploy TASKS=functions/examples/greetings`, which builds it into an image FROM ours."""

from dataclasses import dataclass

from functions.processor.tasks import TaskContext, task


@dataclass
class Greeting:
    name: str
    times: int = 1


@task("greetings.hello", timeout_seconds=10)
def hello(payload: Greeting, context: TaskContext) -> dict:
    """Greets somebody, in as many words as asked for, with the count spelled out by the package's own requirement."""
    from num2words import num2words

    return {"text": ", ".join([f"hello {payload.name}"] * payload.times), "count": num2words(payload.times)}
