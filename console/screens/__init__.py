"""The screens by name, and those that have a tab in the header."""

from console.screens.alerts import Alerts
from console.screens.audit import Audit
from console.screens.contract import ContractCheck, ContractScreen
from console.screens.contracts import Contracts, RefusalScreen
from console.screens.dashboard import Dashboard
from console.screens.dead_letters import DeadLetter, DeadLetters
from console.screens.events import Events, EventScreen
from console.screens.functions import Functions, FunctionScreen
from console.screens.job import JobScreen
from console.screens.jobs import Jobs
from console.screens.launcher import Launcher
from console.screens.letter_form import LetterForm
from console.screens.new_task import FormScreen, PickTask
from console.screens.operations import Operations, OperationScreen
from console.screens.queues import Queues
from console.screens.schedules import ScheduleForm, Schedules
from console.screens.screen import Screen

_ALL: tuple[Screen, ...] = (
    Dashboard(), Jobs(), Events(), DeadLetters(), Queues(), Schedules(), Contracts(), Functions(), Audit(), Alerts(), Operations(), OperationScreen(),
    JobScreen(), EventScreen(), DeadLetter(), LetterForm(), ContractScreen(), ContractCheck(), RefusalScreen(), FunctionScreen(), PickTask(), FormScreen(),
    ScheduleForm(), Launcher(),
)  # fmt: skip
SCREENS: dict[str, Screen] = {screen.name: screen for screen in _ALL}
TABS = ("dashboard", "jobs", "events", "dead-letters", "queues", "schedules", "contracts", "functions", "audit")
