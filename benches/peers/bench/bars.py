"""The figures that sidefuse is to reach, each beside what it is."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Callable, Mapping, Optional

from .measure import Figures, Round
from .stage import DIRECT

Results = Mapping[str, Figures]
_OURS = "sidefuse"


@dataclass(frozen=True)
class Bar:
    """One promise; `figure` is None where its scenario was not measured."""

    scenario: str
    text: str
    figure: Callable[[Results], Optional[float]]
    most: float
    unit: str = "×"

    def line(self, results: Results) -> str | None:
        """Its row; none where its scenario was not asked for."""
        if self.scenario not in results:
            return None
        found = self.figure(results)
        if found is None:
            return f"| {self.text} | {self.most:g} {self.unit} | no figure | |"
        verdict = "met" if found <= self.most else "NOT met"
        return f"| {self.text} | {self.most:g} {self.unit} | {found:.2f} {self.unit} | {verdict} |"


def bars(results: Results) -> list[str]:
    """The lines of the bars that the results tell about."""
    return [line for bar in _BARS if (line := bar.line(results))]


def _median(results: Results, scenario: str, name: str, read: Callable[[Round], float | None]) -> float | None:
    figures = results.get(scenario)
    return figures.median(name, read) if figures else None


def _cpu(round_: Round) -> float | None:
    return round_.cpu


def _to_peer(scenario: str, peer: str) -> Callable[[Results], Optional[float]]:
    """Our CPU time per call as a share of the peer's."""

    def figure(results: Results) -> float | None:
        ours, theirs = (_median(results, scenario, name, _cpu) for name in (_OURS, peer))
        return ours / theirs if ours is not None and theirs else None

    return figure


def _added(read: Callable[[Round], float | None], to: str = DIRECT) -> Callable[[Results], Optional[float]]:
    """How much later our answers come than the others'."""

    def figure(results: Results) -> float | None:
        ours, theirs = (_median(results, "paced", name, read) for name in (_OURS, to))
        return ours - theirs if ours is not None and theirs is not None else None

    return figure


def _growth(scenario: str) -> Callable[[Results], Optional[float]]:
    """Memory after the last round less that after the first."""

    def figure(results: Results) -> float | None:
        rounds = results[scenario].good(_OURS) if scenario in results else []
        ends = [each.memory for each in rounds if each.memory is not None]
        return (ends[-1] - ends[0]) / 2**20 if len(ends) > 1 else None

    return figure


def _trend(results: Results) -> float | None:
    """Of a lasting turn, the memory of its last quarter less that of its second."""

    def trend(round_: Round) -> float | None:
        memories = round_.memories or []
        quarter = len(memories) // 4
        return statistics.median(memories[-quarter:]) - statistics.median(memories[quarter : 2 * quarter]) if quarter else None

    found = _median(results, "lasting", _OURS, trend)
    return found / 2**20 if found is not None else None


def _ours(scenario: str, read: Callable[[Round], float | None], unit: float = 1.0) -> Callable[[Results], Optional[float]]:
    def figure(results: Results) -> float | None:
        value = _median(results, scenario, _OURS, read)
        return value / unit if value is not None else None

    return figure


def _refusal(results: Results) -> float | None:
    refused, carried = (_median(results, scenario, _OURS, _cpu) for scenario in ("open", "small"))
    return refused / carried if refused is not None and carried else None


_BARS = (
    Bar("small", "small JSON, CPU to nginx's", _to_peer("small", "nginx"), 0.85),
    Bar("small", "small JSON, CPU to HAProxy's", _to_peer("small", "HAProxy"), 0.60),
    Bar("small", "small JSON, CPU to Envoy's", _to_peer("small", "Envoy"), 0.35),
    Bar("h2", "HTTP/2 in clear, CPU to Envoy's", _to_peer("h2", "Envoy"), 0.5),
    Bar("h2", "HTTP/2 in clear, CPU to nginx's", _to_peer("h2", "nginx"), 1),
    Bar("down-64k", "answers of 64 KiB, CPU to nginx's", _to_peer("down-64k", "nginx"), 1),
    Bar("down-1m", "answers of 1 MiB, CPU to nginx's", _to_peer("down-1m", "nginx"), 1),
    Bar("up-64k", "requests of 64 KiB, CPU to nginx's", _to_peer("up-64k", "nginx"), 1),
    Bar("up-1m", "requests of 1 MiB, CPU to nginx's", _to_peer("up-1m", "nginx"), 1),
    Bar("down-1m", "answers of 1 MiB, growth of memory", _growth("down-1m"), 1, "MiB"),
    Bar("up-1m", "requests of 1 MiB, growth of memory", _growth("up-1m"), 1, "MiB"),
    Bar("tls", "TLS to the upstream, CPU to Envoy's", _to_peer("tls", "Envoy"), 1),
    Bar("paced", "added at 1 000/s, p50", _added(lambda each: each.p50), 60, "µs"),
    Bar("paced", "added at 1 000/s, p99", _added(lambda each: each.p99), 300, "µs"),
    Bar("paced", "at 1 000/s later than Envoy, p50", _added(lambda each: each.p50, "Envoy"), 0, "µs"),
    Bar("paced", "at 1 000/s later than Envoy, p99", _added(lambda each: each.p99, "Envoy"), 0, "µs"),
    Bar("open", "a refusal's CPU to a carried call's", _refusal, 0.5),
    Bar("paced-open", "refusals at 1 000/s, p99", _ours("paced-open", lambda each: each.p99), 1000, "µs"),
    Bar("idle", "memory when idle", _ours("idle", lambda each: each.memory_before, 2**20), 9, "MiB"),
    Bar("idle", "memory for each idle connection", _ours("idle", lambda each: each.per_connection, 1024), 8, "KiB"),
    Bar("start-5", "first answer, 5 routes", _ours("start-5", lambda each: each.start, 1000), 20, "ms"),
    Bar("start-1000", "first answer, 1 000 routes", _ours("start-1000", lambda each: each.start, 1000), 200, "ms"),
    Bar("lasting", "growth of memory at full speed, last quarter to second", _trend, 1, "MiB"),
    Bar("routes-10000", "memory with 10 000 routes", _ours("routes-10000", lambda each: each.memory, 2**20), 60, "MiB"),
)
