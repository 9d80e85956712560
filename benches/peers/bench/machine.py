"""Where figures come from: without that they mean nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path

from .tools import REPOSITORY, Tools

_ASK = {"nginx": "-v", "haproxy": "-v", "envoy": "--version", "wrk": "-v", "h2load": "--version"}


def describe(tools: Tools, binary: str, given: bool) -> dict[str, str]:
    """Date, machine and versions, as words."""
    # Of a binary that somebody brought the commit is not known.
    origin = "as given" if given else _commit()
    size = f"{Path(binary).stat().st_size / 2**20:.1f} MiB"
    words = {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{_processor()}, {os.cpu_count()} CPUs, Linux {platform.release()}",
        "sidefuse": ", ".join(filter(None, (_first(tools, [binary, "--version"]), origin, size))),
    }
    for name, option in _ASK.items():
        if name in tools:
            words[name] = _first(tools, [tools[name], option])
    return words


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    try:
        done = subprocess.run(["git", "describe", "--always", "--dirty", "--exclude=*"], cwd=REPOSITORY, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()


def _first(tools: Tools, command: list[str]) -> str:
    """The first line with words that a program says of itself, on either stream; some exit with an error for it."""
    done = subprocess.run(command, capture_output=True, text=True, env=tools.environment)
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return lines[0].removeprefix(command[0]).strip() if lines else "unknown"
