"""What a store does within one transaction, written once for every store.

A command first says what it needs (`needs`); the adapter loads that into a `Unit`; the command changes the unit
(`apply`) by the moves; the adapter writes what changed, and commits many commands together. A command that raises an
ObservatoryError before it changed anything fails alone. `late` commands (claims, ticks) see what the others of the same
transaction wrote; `lazy` ones may wait a moment for a commit that happens anyway.
"""

from functions.stores.commands.alerts import JudgeAlerts
from functions.stores.commands.bulk import BulkStep
from functions.stores.commands.facts import DEAD_LETTER_EVENTS, QUEUE_EVENTS, DeadLetterEvent, QueueEvent, letter_after
from functions.stores.commands.firing import firing_key
from functions.stores.commands.running import Claim, Effect, EndAttempts, Progress, Release, Renew
from functions.stores.commands.schedules import DeclareSchedules, DeleteSchedule, PauseSchedule, PutSchedule, RunSchedule
from functions.stores.commands.submissions import FreeWaiting, Submit, settle_children
from functions.stores.commands.ticking import TickCommand
from functions.stores.commands.unit import MINUTE, Command, Needs, Unit, apply_all, each, state_deltas
from functions.stores.commands.wishes import CancelJobs, Reopen

__all__ = [
    "DEAD_LETTER_EVENTS", "MINUTE", "QUEUE_EVENTS", "BulkStep", "CancelJobs", "Claim", "Command", "DeadLetterEvent", "DeclareSchedules",
    "DeleteSchedule", "Effect", "EndAttempts", "FreeWaiting", "JudgeAlerts", "Needs", "PauseSchedule", "Progress", "PutSchedule", "QueueEvent",
    "Release", "Renew", "Reopen", "RunSchedule", "Submit", "TickCommand", "Unit", "apply_all", "each", "firing_key", "letter_after",
    "settle_children", "state_deltas",
]  # fmt: skip
