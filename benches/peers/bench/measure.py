"""Rounds: everybody's turn after everybody else's, so that a change of the machine meets all of them."""

from __future__ import annotations

import statistics
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Callable, Iterator

from .load import idle, put, slow
from .scenario import Load, Scenario
from .stage import Entrant, Setting, Stage, stage

_WARM_UP = 1.0
_TIMES = 20
"""So often the memory of a lasting turn is noted."""


@dataclass(frozen=True)
class Round:
    """One turn of one entrant. Times are in microseconds, memory in bytes; what a scenario does not have is None."""

    requests: int
    errors: int
    cpu: float | None = None
    """CPU time of the proxy for one call."""
    rate: float | None = None
    p50: float | None = None
    p99: float | None = None
    memory: float | None = None
    """Resident after the turn; with slow readers the most during it."""
    memory_before: float | None = None
    per_connection: float | None = None
    start: float | None = None
    """Until the first answer."""
    memories: list[float] | None = None
    """Resident at twenty times of a lasting turn, each as long after the one before."""


@dataclass
class Figures:
    """What one scenario came to."""

    scenario: Scenario
    rounds: dict[str, list[Round]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def good(self, name: str) -> list[Round]:
        """The rounds without an error; the others are no figures."""
        return [each for each in self.rounds.get(name, []) if not each.errors]

    def median(self, name: str, read: Callable[[Round], float | None]) -> float | None:
        values = [value for each in self.good(name) if (value := read(each)) is not None]
        return statistics.median(values) if values else None


def measure(setting: Setting, scenario: Scenario, rounds: int, seconds: float) -> Figures:
    """Sets the scenario up and measures it."""
    figures = Figures(scenario)
    stages = rounds if scenario.fresh else 1
    for act in range(stages):
        with stage(setting, scenario) as ready:
            figures.absent.update(ready.absent)
            if not scenario.fresh:
                for entrant in ready.entrants:
                    _turn(ready, entrant, _WARM_UP)
            for number in range(rounds // stages):
                _say(f"{scenario.name}: round {act + number + 1} of {rounds}")
                # Each round begins with another, so that nobody always comes after the same.
                first = number % max(1, len(ready.entrants))
                for entrant in ready.entrants[first:] + ready.entrants[:first]:
                    done = _round(ready, entrant, seconds)
                    figures.rounds.setdefault(entrant.name, []).append(done)
    return figures


def _round(ready: Stage, entrant: Entrant, seconds: float) -> Round:
    if ready.scenario.load is Load.IDLE:
        return _idle(ready, entrant)
    if ready.scenario.load is Load.SLOW:
        return _slow(ready, entrant, seconds)
    if ready.scenario.load is Load.LASTING:
        return _lasting(ready, entrant, seconds)
    if ready.scenario.load is Load.START:
        process = entrant.running
        start, memory = (process.start * 1e6, float(process.memory())) if process else (None, None)
        return Round(requests=1, errors=0, start=start, memory=memory)
    return _turn(ready, entrant, seconds)


def _turn(ready: Stage, entrant: Entrant, seconds: float) -> Round:
    process = entrant.running
    before = process.cpu_seconds() if process else 0.0
    counted = put(ready.tools, ready.scenario, entrant.aim, seconds, [ready.cpus.load])
    after = process.cpu_seconds() if process else 0.0
    memory = float(process.memory()) if process else None
    entrant.empty_log(ready.tools)
    return Round(
        requests=counted.requests,
        errors=counted.errors,
        cpu=(after - before) * 1e6 / counted.requests if process and counted.requests else None,
        rate=counted.requests / counted.seconds,
        p50=counted.p50,
        p99=counted.p99,
        memory=memory,
    )


def _idle(ready: Stage, entrant: Entrant) -> Round:
    process = entrant.running
    connections = ready.scenario.connections
    before = float(process.memory()) if process else 0.0
    with idle(entrant.aim, connections) as answered:
        after = float(process.memory()) if process else 0.0
    entrant.empty_log(ready.tools)
    return Round(
        requests=answered,
        errors=connections - answered,
        memory=after,
        memory_before=before,
        per_connection=(after - before) / connections,
    )


def _slow(ready: Stage, entrant: Entrant, seconds: float) -> Round:
    process = entrant.running
    connections = ready.scenario.connections
    memories = [float(process.memory()) if process else 0.0]
    broken = slow(entrant.aim, ready.scenario, seconds, lambda: memories.append(float(process.memory()) if process else 0.0))
    entrant.empty_log(ready.tools)
    return Round(
        requests=connections,
        errors=broken,
        memory=max(memories),
        memory_before=memories[0],
        per_connection=(max(memories) - memories[0]) / connections,
    )


def _lasting(ready: Stage, entrant: Entrant, seconds: float) -> Round:
    with _watched(ready, entrant, seconds / _TIMES) as memories:
        turn = _turn(ready, entrant, seconds)
    return replace(turn, memories=memories[:_TIMES])


@contextmanager
def _watched(ready: Stage, entrant: Entrant, every: float) -> Iterator[list[float]]:
    """Notes what is resident, and empties the log, which would fill the disk, again and again."""
    memories: list[float] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(every):
            memories.append(float(entrant.running.memory()) if entrant.running else 0.0)
            entrant.empty_log(ready.tools)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield memories
    finally:
        over.set()
        watcher.join()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
