"""Programs that run beside us: pinned to CPUs, with their costs, and gone when we are."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Sequence

from .failure import Failure

# For ten thousand routes some need most of it.
_PATIENCE = 120.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Program:
    """What is to be started."""

    name: str
    command: Sequence[str]
    cpus: Sequence[int]
    environment: dict[str, str]
    output: Path
    """Its standard output; its standard error goes beside it."""
    port: int
    """Where it answers HTTP/1.1 once it is ready."""

    @property
    def errors(self) -> Path:
        return self.output.with_suffix(".stderr")


class Running:
    """A started program with all processes that it makes."""

    def __init__(self, program: Program, started: subprocess.Popen[bytes]) -> None:
        self.program = program
        self.start = 0.0
        """Seconds until it gave its first answer."""
        self._started = started

    def members(self) -> list[int]:
        """The processes of its group."""
        group = self._started.pid
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                fields = _stat(f"/proc/{entry}/stat")
                if fields and int(fields[2]) == group:
                    found.append(int(entry))
        return found

    def cpu_seconds(self) -> float:
        """The time that all its threads have spent on a CPU."""
        return sum(_cpu_seconds(thread) for pid in self.members() for thread in _threads(pid))

    def memory(self) -> int:
        """Its resident bytes; of a page that processes share each has its part (PSS)."""
        return sum(_memory(pid) for pid in self.members())

    def alive(self) -> bool:
        return self._started.poll() is None

    def stop(self) -> None:
        """Ends the whole group, in the end by force."""
        for way, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            try:
                os.killpg(self._started.pid, way)
            except ProcessLookupError:
                break
            end = time.monotonic() + patience
            while time.monotonic() < end and (self.alive() or self.members()):
                time.sleep(0.02)
        self._started.wait()


@contextmanager
def running(program: Program) -> Iterator[Running]:
    """Starts it, waits until it answers, and ends it in any case."""
    free(program.name, program.port)
    program.output.unlink(missing_ok=True)
    # Opened for appending, so that it may be emptied while it is written. Should we be killed, the kernel tells the program.
    with open(program.output, "ab") as output, open(program.errors, "wb") as errors:
        begin = time.monotonic()
        started = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *pinned(program.command, program.cpus)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            env=program.environment,
            # A group of its own, so that it can be ended whole, in our session: there the scheduler respects our niceness.
            preexec_fn=os.setpgrp,
        )
    process = Running(program, started)
    try:
        _answering(process)
        process.start = time.monotonic() - begin
        yield process
    finally:
        process.stop()


def pinned(command: Sequence[str], cpus: Sequence[int]) -> list[str]:
    """The command, to run on these CPUs only."""
    return ["taskset", "-c", ",".join(map(str, cpus)), *command]


def free(name: str, port: int) -> None:
    """Fails when somebody else listens on the port already."""
    with socket.socket() as probe:
        # As the servers do, or what is left of the last round's connections would count as somebody.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Failure(f"{name} cannot have port {port}: {error.strerror}; choose others with --port") from None


def _answering(process: Running) -> None:
    program = process.program
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if not process.alive():
            raise Failure(f"{program.name} ended while starting: {_last_words(program)}")
        try:
            with socket.create_connection(("127.0.0.1", program.port), timeout=5) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                if connection.recv(1):
                    return
        except OSError:
            pass
        time.sleep(0.001)
    raise Failure(f"{program.name} does not answer after {_PATIENCE:.0f} s: {_last_words(program)}")


def _last_words(program: Program) -> str:
    for file in (program.errors, program.output):
        lines = file.read_text(errors="replace").strip().splitlines()
        if lines:
            return " / ".join(lines[-3:])
    return "it says nothing"


def _stat(path: str) -> list[str]:
    """The fields of a stat file after the name, which may hold spaces; none when the process is gone."""
    try:
        return Path(path).read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _threads(pid: int) -> list[str]:
    try:
        return [f"/proc/{pid}/task/{thread}" for thread in os.listdir(f"/proc/{pid}/task")]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _cpu_seconds(thread: str) -> float:
    # In nanoseconds where the kernel keeps it so, else in ticks of 10 ms.
    try:
        return int(Path(f"{thread}/schedstat").read_text().split()[0]) / 1e9
    except (FileNotFoundError, ProcessLookupError):
        fields = _stat(f"{thread}/stat")
        return (int(fields[11]) + int(fields[12])) / _TICKS if fields else 0.0


def _memory(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
