"""Configurations with places to fill in: `@{name}`, and lines that are repeated for each route."""

from __future__ import annotations

import re
from pathlib import Path

from .failure import Failure

_PLACE = re.compile(r"@\{(\w+)\}")
_CONF = Path(__file__).resolve().parent.parent / "conf"


def fill(name: str, values: dict[str, object], routes: list[str]) -> str:
    """The file `name` of `conf` with its places filled in; what stands between `# each route` and `# end` comes once for each."""
    lines: list[str] = []
    repeated: list[str] | None = None
    for line in (_CONF / name).read_text().splitlines():
        if line.strip() == "# each route":
            repeated = []
        elif line.strip() == "# end":
            for route in routes:
                lines += [_filled(name, each, {**values, "route": route}) for each in repeated or []]
            repeated = None
        elif repeated is not None:
            repeated.append(line)
        else:
            lines.append(_filled(name, line, values))
    return "\n".join(lines) + "\n"


def _filled(name: str, line: str, values: dict[str, object]) -> str:
    def value(place: re.Match[str]) -> str:
        try:
            return str(values[place[1]])
        except KeyError:
            raise Failure(f"conf/{name} has a place {place[0]} that nothing fills") from None

    return _PLACE.sub(value, line)
