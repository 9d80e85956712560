"""Reads what callgrind writes: who spent how much, and who called whom how often."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

_NAMED = re.compile(r"\((\d+)\)(?: (.+))?")
# Generic parameters and hashes hide the name that one looks for.
_HASH = re.compile(r"::h[0-9a-f]{16}$")


@dataclass
class Profile:
    """Counts of instructions and calls, by the names of functions."""

    own: Counter[str] = field(default_factory=Counter)
    inclusive: Counter[str] = field(default_factory=Counter)
    calls: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """How often each function was called, by its caller."""
    spent: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """What these calls cost with all below them."""

    @property
    def total(self) -> int:
        return sum(self.own.values())

    def callers(self, of: re.Pattern[str], besides: re.Pattern[str]) -> tuple[Counter[str], Counter[str]]:
        """Who calls functions of these names, but those that are part of the matter themselves: how often, and at what cost."""
        found: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        for counter, all_callers in zip(found, (self.calls, self.spent)):
            for name, callers in all_callers.items():
                if of.search(name):
                    counter.update({caller: count for caller, count in callers.items() if not besides.search(caller)})
        return found


def read(file: Path) -> Profile:
    """One dump of `--separate-threads=no`."""
    profile = Profile()
    names: dict[str, str] = {}
    function = callee = ""
    # None between calls. A call that began before the counting has the number 0, and costs.
    calls: int | None = None

    def name(text: str) -> str:
        number, word = _NAMED.fullmatch(text).groups()  # type: ignore[union-attr]
        if word is not None:
            names[number] = _HASH.sub("", word)
        return names[number]

    for line in file.read_text(errors="replace").splitlines():
        if line.startswith("fn="):
            function = name(line[3:])
        elif line.startswith("cfn="):
            callee = name(line[4:])
        elif line.startswith("calls="):
            calls = int(line[6:].split()[0])
        elif line[:1].isdigit() or line[:1] in "+-*":
            cost = int(line.split()[-1]) if len(line.split()) > 1 else 0
            if calls is not None:
                profile.calls[callee][function] += calls
                profile.spent[callee][function] += cost
                calls = None
            else:
                profile.own[function] += cost
    for function, cost in profile.own.items():
        profile.inclusive[function] += cost
    for callee, callers in profile.spent.items():
        for caller, cost in callers.items():
            if caller != callee:
                profile.inclusive[caller] += cost
    return profile
