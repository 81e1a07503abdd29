"""Where a market stands: stage, epoch and round as one immutable value, and the one function that moves it.

`advance` takes the market from one value to the next as the table of `omnilytics_flwr.market.stage` allows, and refuses everything else.
It knows nothing of money, members or time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from omnilytics_flwr.market.stage import Event, Stage, check_allowed

NO_TASK = bytes(32)


@dataclass(frozen=True, slots=True)
class Round:
    """Where a market stands.

    Attributes
    ----------
    stage : Stage
        Present stage.
    epoch : int
        Freezes so far.
    number : int
        Anchored tasks so far; the live round if the stage is anchored or open.
    opened_in_epoch : int
        Rounds opened in this epoch.
    task_hash : bytes, length 32
        Task of the live round; zeros if there is none.
    groups : int
        Bitmap of the groups on the open roster; 0 unless the stage is open.
    """

    stage: Stage = Stage.ENROLLING
    epoch: int = 0
    number: int = 0
    opened_in_epoch: int = 0
    task_hash: bytes = NO_TASK
    groups: int = 0

    @property
    def live(self) -> bool:
        """Whether `number` is a round that may still be opened or settled."""
        return self.stage in (Stage.ANCHORED, Stage.OPEN)

    @property
    def drawn(self) -> bool:
        """Whether this epoch has its groups."""
        return self.live or self.stage is Stage.IDLE

    @property
    def finished(self) -> int:
        """Last round that can pay nothing more than it does now."""
        return self.number - 1 if self.live else self.number


@dataclass(frozen=True, slots=True)
class Step:
    """An event with the facts that it brings.

    Attributes
    ----------
    event : Event
        What happens.
    task_hash : bytes, length 32
        Of `anchor`: the task. Of `settle`: the next task, zeros for none.
    groups : int
        Of `open`: bitmap of the groups on the roster.
    """

    event: Event
    task_hash: bytes = NO_TASK
    groups: int = 0


def advance(before: Round, step: Step) -> Round:
    """Where the market stands after `step`.

    Raises
    ------
    OutOfTurn
        The stage does not allow the event; carries what it allows.
    """
    check_allowed(before.stage, step.event)
    match step.event:
        case Event.FREEZE:
            return Round(Stage.FROZEN, before.epoch + 1, before.number)
        case Event.DRAW:
            return replace(before, stage=Stage.IDLE)
        case Event.ANCHOR:
            return _anchored(before, step.task_hash)
        case Event.OPEN:
            return replace(before, stage=Stage.OPEN, groups=step.groups, opened_in_epoch=before.opened_in_epoch + 1)
        case Event.SETTLE if step.task_hash != NO_TASK:
            return _anchored(before, step.task_hash)
        case Event.SETTLE | Event.TIMEOUT:
            return replace(before, stage=Stage.IDLE, task_hash=NO_TASK, groups=0)
        case Event.CLOSE:
            return replace(before, stage=Stage.CLOSED, task_hash=NO_TASK)
    return before


def _anchored(before: Round, task_hash: bytes) -> Round:
    return replace(before, stage=Stage.ANCHORED, number=before.number + 1, task_hash=task_hash, groups=0)
