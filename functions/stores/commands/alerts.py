"""The command that judges alerts: what is found now against what is kept, with the events that tell of it."""

from dataclasses import dataclass

from contracts.alerts import Judge, Judgement
from functions.stores.commands.unit import Command, Needs, Unit
from functions.stores.moves import SCHEDULER


@dataclass(slots=True)
class JudgeAlerts(Command):
    judge: Judge
    judgement: Judgement | None = None

    def needs(self, needs: Needs, unit: Unit) -> None:
        needs.alerts = True

    def plan(self, needs: Needs, unit: Unit) -> None:
        self.judgement = self.judge(unit.alerts, unit.now)
        needs.streams.update(f"alert/{alert.id}" for _, alert, _ in self.judgement.told)
        kept = unit.alerts | self.judgement.changed  # what a second one in this transaction finds
        unit.alerts = {key: alert for key, alert in kept.items() if alert is not None}

    def apply(self, unit: Unit) -> Judgement:
        assert self.judgement is not None
        for event_type, alert, data in self.judgement.told:
            unit.tell(f"alert/{alert.id}", event_type, data, SCHEDULER, severity=alert.severity)
        unit.changed_alerts.update(self.judgement.changed)
        return self.judgement
