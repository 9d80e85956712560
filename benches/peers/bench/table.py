"""The figures as Markdown."""

from __future__ import annotations

from typing import Callable, Optional, Sequence

from .bars import Results, bars
from .measure import Figures, Round
from .scenario import Load
from .stage import DIRECT

_OURS = "sidefuse"
_Read = Callable[[Round], Optional[float]]


def scenario_table(figures: Figures) -> str:
    """One scenario's figures: medians of the rounds without errors, a line for each proxy."""
    if figures.scenario.load is Load.IDLE:
        header, row = ["proxy", "idle", "with connections", "each"], _idle_row
    elif figures.scenario.load is Load.SLOW:
        header, row = ["proxy", "before", "at most", "each"], _idle_row
    elif figures.scenario.load is Load.LASTING:
        header, row = ["proxy", "calls", "CPU/request", "memory after a tenth", "at half time", "at the end", "at most"], _lasting_row
    elif figures.scenario.load is Load.START:
        header, row = ["proxy", "first answer after", "memory"], _start_row
    elif figures.scenario.load is Load.PACED:
        header, row = ["proxy", "CPU/request", "p50", "p99", "p50 added", "p99 added", "memory"], _paced_row
    else:
        header, row = ["proxy", "CPU/request", "sidefuse to it", "req/s", "p50", "p99", "memory"], _closed_row
    lines = [f"### {figures.scenario.name}: {figures.scenario.title}", ""]
    lines += [_line([*header, "rounds"]), _line(["---", *["--:"] * len(header)])]
    lines += [_line([name, *row(figures, name), _rounds(figures, name)]) for name in figures.rounds]
    lines += [f"\n{name} is left out: {why}" for name, why in figures.absent.items()]
    return "\n".join(lines) + "\n"


def bars_table(results: Results) -> str:
    """What was to be reached, and what was; empty where nothing measured tells."""
    lines = bars(results)
    if not lines:
        return ""
    return "\n".join(["### bars", "", _line(["what", "at most", "is", ""]), _line(["---", "--:", "--:", "---"]), *lines]) + "\n"


def _closed_row(figures: Figures, name: str) -> list[str]:
    theirs = figures.median(name, lambda each: each.cpu)
    ours = figures.median(_OURS, lambda each: each.cpu)
    ratio = f"{ours / theirs:.2f} ×" if ours is not None and theirs and name != _OURS else ""
    return [
        _shown(theirs, "µs", 1),
        ratio,
        _shown(figures.median(name, lambda each: each.rate), ""),
        *(_shown(figures.median(name, read), "µs") for read in _LATENCIES),
        _memory(figures.median(name, lambda each: each.memory)),
    ]


def _paced_row(figures: Figures, name: str) -> list[str]:
    added = []
    for read in _LATENCIES:
        here, direct = figures.median(name, read), figures.median(DIRECT, read)
        known = here is not None and direct is not None and name != DIRECT
        added.append(_shown(here - direct, "µs") if known else "")
    return [
        _shown(figures.median(name, lambda each: each.cpu), "µs", 1),
        *(_shown(figures.median(name, read), "µs") for read in _LATENCIES),
        *added,
        _memory(figures.median(name, lambda each: each.memory)),
    ]


def _idle_row(figures: Figures, name: str) -> list[str]:
    per_connection = figures.median(name, lambda each: each.per_connection)
    return [
        _memory(figures.median(name, lambda each: each.memory_before)),
        _memory(figures.median(name, lambda each: each.memory)),
        _shown(None if per_connection is None else per_connection / 1024, "KiB", 1),
    ]


def _lasting_row(figures: Figures, name: str) -> list[str]:
    times: tuple[Callable[[list[float]], float], ...] = (
        lambda noted: noted[len(noted) // 10],
        lambda noted: noted[len(noted) // 2],
        lambda noted: noted[-1],
        max,
    )
    return [
        _shown(figures.median(name, lambda each: each.requests), ""),
        _shown(figures.median(name, lambda each: each.cpu), "µs", 1),
        *(_memory(figures.median(name, lambda each: at(each.memories) if each.memories else None)) for at in times),
    ]


def _start_row(figures: Figures, name: str) -> list[str]:
    start = figures.median(name, lambda each: each.start)
    return [
        _shown(None if start is None else start / 1000, "ms", 1),
        _memory(figures.median(name, lambda each: each.memory)),
    ]


def _rounds(figures: Figures, name: str) -> str:
    rounds, good = figures.rounds[name], figures.good(name)
    if len(good) == len(rounds):
        return str(len(rounds))
    errors = sum(each.errors for each in rounds)
    return f"{len(good)} of {len(rounds)}, {errors} errors"


def _shown(value: float | None, unit: str, digits: int = 0) -> str:
    if value is None:
        return ""
    return f"{value:,.{digits}f} {unit}".replace(",", " ").strip()


def _memory(value: float | None) -> str:
    return _shown(None if value is None else value / 2**20, "MiB", 1)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


_LATENCIES: tuple[_Read, _Read] = (lambda each: each.p50, lambda each: each.p99)
