"""The screens by name, and those that have a tab in the header."""

from console.screens.dashboard import Dashboard
from console.screens.job import JobScreen
from console.screens.jobs import Jobs
from console.screens.new_task import FormScreen, PickTask
from console.screens.screen import Screen

SCREENS: dict[str, Screen] = {screen.name: screen for screen in (Dashboard(), Jobs(), JobScreen(), PickTask(), FormScreen())}
TABS = tuple(name for name in ("dashboard", "jobs") if name in SCREENS)
