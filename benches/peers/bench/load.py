"""Calls in great number, from the CPU that the proxies do not use, for a time that is fixed beforehand."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterator, Sequence

from .failure import Failure
from .process import pinned
from .scenario import RATE, SLOW_RATE, Load, Scenario, Upstream
from .tools import Tools, steady

_SCRIPT = Path(__file__).resolve().parent.parent / "load.lua"
_GRACE = 30.0
_LOOKS = 10
"""How often in a second a slow reader reads."""


@dataclass(frozen=True)
class Counted:
    """What the generator saw."""

    requests: int
    seconds: float
    p50: float
    """In microseconds, as p99."""
    p99: float
    errors: int
    """Connections that broke, calls that got no answer, and answers with another status than the scenario's."""


@dataclass(frozen=True)
class Aim:
    """Where calls go, and which answer is right."""

    port: int
    paths: Sequence[str]
    status: int


def put(tools: Tools, scenario: Scenario, aim: Aim, seconds: float, cpus: Sequence[int]) -> Counted:
    """Makes the scenario's calls for so long."""
    if scenario.load in (Load.CLOSED, Load.LASTING):
        return _wrk(tools, scenario, aim, seconds, cpus)
    if scenario.load is Load.STREAMS:
        return _h2load(tools, scenario, aim, seconds, cpus)
    if scenario.load is Load.PACED:
        return _steady(tools, scenario, aim, seconds, cpus)
    raise AssertionError(f"{scenario.load} is no load")


def _wrk(tools: Tools, scenario: Scenario, aim: Aim, seconds: float, cpus: Sequence[int]) -> Counted:
    # Whole seconds are all that wrk knows.
    duration = max(1, round(seconds))
    call = [scenario.method, str(scenario.upload), *aim.paths]
    options = ["-t", "1", "-c", str(scenario.connections), "-d", f"{duration}s", "--timeout", "5s", "-s", str(_SCRIPT)]
    said = _run([tools["wrk"], *options, f"http://127.0.0.1:{aim.port}/", "--", *call], tools, duration, cpus)
    try:
        figures = json.loads(said.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise Failure(f"wrk ends without figures: {said.strip()[-200:]}") from None
    # wrk counts every status above 399, which is what a refusal has.
    wrong = figures["status"]
    if scenario.upstream is Upstream.REFUSED:
        wrong = figures["requests"] - wrong
    return Counted(
        requests=figures["requests"],
        seconds=figures["microseconds"] / 1e6,
        p50=figures["p50"],
        p99=figures["p99"],
        errors=wrong + figures["socket"],
    )


def _h2load(tools: Tools, scenario: Scenario, aim: Aim, seconds: float, cpus: Sequence[int]) -> Counted:
    log = tools.directory / "h2load.log"
    log.unlink(missing_ok=True)
    duration = max(1, round(seconds))
    options = ["-c", str(scenario.connections), "-m", "100", "-t", "1", "-D", str(duration), "--log-file", str(log)]
    _run([tools["h2load"], *options, f"http://127.0.0.1:{aim.port}{aim.paths[0]}"], tools, duration, cpus)
    # Its summary has no percentiles; the log has one line per call: start, status, microseconds.
    calls = [line.split("\t") for line in log.read_text().splitlines()]
    log.unlink()
    latencies = sorted(int(call[2]) for call in calls)
    if not latencies:
        raise Failure("h2load got no answer at all")
    return Counted(
        requests=len(calls),
        seconds=float(duration),
        p50=latencies[len(latencies) // 2],
        p99=latencies[len(latencies) * 99 // 100],
        errors=sum(call[1] != str(aim.status) for call in calls),
    )


def _steady(tools: Tools, scenario: Scenario, aim: Aim, seconds: float, cpus: Sequence[int]) -> Counted:
    numbers = [str(RATE), str(seconds), str(scenario.connections), str(aim.status)]
    said = _run([steady(), f"127.0.0.1:{aim.port}", aim.paths[0], *numbers], tools, seconds, cpus)
    figures = json.loads(said)
    return Counted(
        requests=figures["requests"],
        seconds=figures["microseconds"] / 1e6,
        p50=figures["p50"],
        p99=figures["p99"],
        errors=figures["errors"],
    )


def _run(command: Sequence[str], tools: Tools, seconds: float, cpus: Sequence[int]) -> str:
    """Runs a generator to its end; one that does not come to it is ended."""
    try:
        done = subprocess.run(
            ["setpriv", "--pdeathsig", "KILL", *pinned(command, cpus)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=tools.environment,
            timeout=seconds + _GRACE,
        )
    except subprocess.TimeoutExpired:
        raise Failure(f"{command[0]} does not end") from None
    if done.returncode:
        raise Failure(f"{command[0]} fails: {(done.stderr or done.stdout).strip()[-200:]}")
    return done.stdout


@contextmanager
def idle(aim: Aim, connections: int) -> Iterator[int]:
    """Opens connections, makes one call on each, and keeps them; the number of those that got an answer."""
    request = f"GET {aim.paths[0]} HTTP/1.1\r\nHost: 127.0.0.1:{aim.port}\r\n\r\n".encode()
    right = f"HTTP/1.1 {aim.status} ".encode()
    with ExitStack() as kept:
        answered = 0
        for _ in range(connections):
            # One after the other, so that the proxies need no more than one connection of their own.
            connection = kept.enter_context(socket.create_connection(("127.0.0.1", aim.port), timeout=5))
            with suppress(ConnectionError, TimeoutError):
                connection.sendall(request)
                answered += connection.recv(65536).startswith(right)
        # Idle is what has been so for a while; what was allocated for the calls alone has time to go.
        time.sleep(3)
        yield answered


def slow(aim: Aim, scenario: Scenario, seconds: float, look: Callable[[], None]) -> int:
    """Reads answers slowly for so long once all have begun, and looks ten times in a second; the number of connections that broke or got
    a wrong answer."""
    request = f"GET {aim.paths[0]} HTTP/1.1\r\nHost: 127.0.0.1:{aim.port}\r\n\r\n".encode()
    right = f"HTTP/1.1 {aim.status} ".encode()
    piece = SLOW_RATE // _LOOKS
    with ExitStack() as kept:
        readers: list[_Reader] = []
        for _ in range(scenario.connections):
            connection = kept.enter_context(socket.create_connection(("127.0.0.1", aim.port), timeout=5))
            connection.sendall(request)
            connection.setblocking(False)
            readers.append(_Reader(connection))
        begin = time.monotonic()
        while not all(reader.has_begun for reader in readers) and time.monotonic() - begin < _GRACE:
            for reader in readers:
                if not reader.has_begun:
                    reader.read(piece, right)
            time.sleep(0.01)
        begin = time.monotonic()
        for turn in range(max(1, round(seconds * _LOOKS))):
            for reader in readers:
                reader.read(piece, right)
            look()
            time.sleep(max(0.0, begin + (turn + 1) / _LOOKS - time.monotonic()))
        return sum(reader.is_broken or not reader.has_begun for reader in readers)


class _Reader:
    """A caller that takes its time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.has_begun = False
        self.is_broken = False

    def read(self, most: int, right: bytes) -> None:
        """Reads what is there, but no more than so much."""
        with suppress(BlockingIOError):
            try:
                came = self._connection.recv(most)
            except ConnectionError:
                came = b""
            self.is_broken |= not came or not self.has_begun and not came.startswith(right)
            self.has_begun = True
