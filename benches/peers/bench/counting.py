"""Counts what a call costs sidefuse: instructions, allocations, system calls. Unlike times, they are the same on every run."""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import socket
import subprocess
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Sequence

from .callgrind import Profile, read
from .command import within
from .failure import Failure
from .load import Aim
from .peer import SIDEFUSE, Ports, Site
from .process import Program, Running, running
from .origin import origin
from .scenario import SCENARIOS, Load, Scenario, Upstream
from .stage import Cpus, force_open, ports
from .tools import DIRECTORY, REPOSITORY, Tools, install, target

# Of the C library and of mimalloc; what these call themselves is not counted again.
_ALLOCATING = re.compile(r"^(__rustc::)?(__rust_|__rdl_|mi_)?(alloc|alloc_zeroed|malloc|calloc|zalloc|realloc|posix_memalign)(_aligned)?$")
_FREEING = re.compile(r"^(__rustc::)?(__rust_dealloc|__rdl_dealloc|mi_free|free)$")
_ALLOCATOR = re.compile(r"^(__rustc::|__rust_|__rdl_|_?mi_|_int_|malloc|calloc|realloc|free|posix_memalign)")
_COPYING = re.compile(r"^(__)?mem(cpy|move)")
_NOBODY = re.compile(r"^$")


def main(arguments: Sequence[str]) -> int:
    """Prints the counts and the functions behind them."""
    asked = _parse(arguments)
    return within(target() / DIRECTORY, lambda directory: _run(asked, directory))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benches/peers/instructions",
        description="Counts instructions, allocations and system calls of sidefuse for one call (callgrind, strace).",
    )
    names = [each.name for each in SCENARIOS if each.load is Load.CLOSED]
    parser.add_argument("--scenario", choices=names, default="small", metavar="NAME", help=f"{', '.join(names)} (default: small)")
    parser.add_argument("--calls", type=int, default=6400, metavar="N", help="calls that are counted (default: 6400)")
    parser.add_argument("--connections", type=int, default=64, metavar="N", help="each makes one call at a time (default: 64)")
    parser.add_argument("--top", type=int, default=40, metavar="N", help="functions that are shown (default: 40)")
    parser.add_argument("--binary", type=Path, metavar="PATH", help="a sidefuse with symbols (default: one of the profile `profiling`)")
    return parser.parse_args(arguments)


def _run(asked: argparse.Namespace, directory: Path) -> int:
    for tool in ("valgrind", "strace"):
        if not shutil.which(tool):
            raise Failure(f"{tool} is missing; install Debian's {tool}")
    scenario = replace(next(each for each in SCENARIOS if each.name == asked.scenario), connections=asked.connections)
    calls = max(1, asked.calls // asked.connections) * asked.connections
    binary = str(asked.binary.resolve()) if asked.binary else _build()
    tools = install(directory)
    profile = _instructions(tools, scenario, binary, calls)
    system_calls = _system_calls(tools, scenario, binary, calls)
    _print(scenario, calls, profile, system_calls, asked.top)
    return 0


def _build() -> str:
    if subprocess.run(["cargo", "build", "--profile", "profiling", "--locked", "--bin", "sidefuse"], cwd=REPOSITORY).returncode:
        raise Failure("sidefuse does not build")
    return str(target() / "profiling" / "sidefuse")


@dataclass(frozen=True)
class _Ready:
    process: Running
    waves: Waves


class Waves:
    """Connections that all make a call at the same time, and wait for the last answer before the next."""

    def __init__(self, scenario: Scenario, aim: Aim) -> None:
        body = b"x" * scenario.upload
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        self._requests = [
            f"{scenario.method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{aim.port}\r\n{length}\r\n".encode() + body
            for path in aim.paths
        ]
        self._right = f"HTTP/1.1 {aim.status} ".encode()
        self._sockets = [socket.create_connection(("127.0.0.1", aim.port), timeout=60) for _ in range(scenario.connections)]
        for each in self._sockets:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def warm_up(self) -> None:
        """Waves that grow; below valgrind a handshake takes long, and all at once they would take too long."""
        for width in range(1, len(self._sockets) + 1, 4):
            self._wave(0, self._sockets[:width])
        self.make(20 * len(self._sockets))

    def make(self, calls: int) -> None:
        for number in range(calls // len(self._sockets)):
            self._wave(number, self._sockets)

    def close(self) -> None:
        for each in self._sockets:
            each.close()

    def _wave(self, number: int, sockets: Sequence[socket.socket]) -> None:
        for each in sockets:
            each.sendall(self._requests[number % len(self._requests)])
        for each in sockets:
            self._read(each)

    def _read(self, connection: socket.socket) -> None:
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._more(connection)
        head, _, body = answer.partition(b"\r\n\r\n")
        if not head.startswith(self._right):
            raise Failure(f"sidefuse answers {head.splitlines()[0].decode(errors='replace')}")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        left = int(length[1]) - len(body) if length else 0
        while left > 0:
            left -= len(self._more(connection))

    @staticmethod
    def _more(connection: socket.socket) -> bytes:
        piece = connection.recv(262_144)
        if not piece:
            raise Failure("sidefuse ends a connection in the middle of an answer")
        return piece


def _start(started: ExitStack, tools: Tools, scenario: Scenario, binary: str, before: Sequence[str]) -> _Ready:
    """The upstream and sidefuse below another program, warmed up."""
    given = ports(0)
    cpus = Cpus.choose()
    values: dict[str, object] = {"directory": tools.directory, "origin_port": given[0], "origin_tls_port": given[1]}
    started.enter_context(running(origin(tools, values, cpus.load)))
    site = Site(tools, scenario, given[0], given[1], [cpus.proxy])
    own = Ports(given[2], given[3], given[4])
    program: Program = SIDEFUSE.program(site, own, binary)
    program = replace(program, command=[*before, *program.command])
    process = started.enter_context(running(program))
    refused = scenario.upstream is Upstream.REFUSED
    if refused:
        force_open(own.admin, scenario)
    waves = Waves(scenario, Aim(own.calls, scenario.paths(), 503 if refused else 200))
    started.callback(waves.close)
    waves.warm_up()
    return _Ready(process, waves)


def _instructions(tools: Tools, scenario: Scenario, binary: str, calls: int) -> Profile:
    out = tools.directory / "callgrind"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}/out", f"--vgdb-prefix={out}/vgdb"]
    with ExitStack() as started:
        ready = _start(started, tools, scenario, binary, valgrind)
        pid = str(ready.process.members()[0])

        def control(option: str) -> None:
            command = ["vgdb", f"--vgdb-prefix={out}/vgdb", f"--pid={pid}", option]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            if done.returncode:
                raise Failure(f"callgrind does not {option}: {done.stderr.strip()}")

        control("zero")
        ready.waves.make(calls)
        control("dump")
    dumps = sorted(out.glob("out.*"))
    if not dumps:
        raise Failure("callgrind wrote nothing")
    return read(dumps[0])


def _system_calls(tools: Tools, scenario: Scenario, binary: str, calls: int) -> Counter[str]:
    out = tools.directory / "strace.out"
    with ExitStack() as started:
        ready = _start(started, tools, scenario, binary, [])
        pid = str(ready.process.members()[0])
        strace = subprocess.Popen(
            ["strace", "-f", "-c", "-U", "calls,name", "-o", str(out), "-p", pid], stderr=subprocess.PIPE, text=True
        )
        started.callback(strace.wait)
        started.callback(strace.terminate)
        if "attached" not in (strace.stderr.readline() if strace.stderr else ""):
            raise Failure("strace cannot watch sidefuse")
        ready.waves.make(calls)
        strace.send_signal(signal.SIGINT)
        strace.wait()
    counted: Counter[str] = Counter()
    for row in out.read_text().splitlines():
        words = row.split()
        if len(words) == 2 and words[0].isdigit() and words[1] != "total":
            counted[words[1]] += int(words[0])
    return counted


def _print(scenario: Scenario, calls: int, profile: Profile, system_calls: Counter[str], top: int) -> None:
    allocations, allocating = profile.callers(_ALLOCATING, _ALLOCATOR)
    frees, _ = profile.callers(_FREEING, _ALLOCATOR)
    copies, copying = profile.callers(_COPYING, _NOBODY)
    print(f"{scenario.name}: {scenario.title}; {calls} calls on {scenario.connections} connections, for one call:\n")
    for label, value in (
        ("instructions", profile.total),
        ("allocations", allocations.total()),
        ("frees", frees.total()),
        ("copies", copies.total()),
        ("system calls", sum(system_calls.values())),
    ):
        print(f"  {label:14}{value / calls:12,.2f}")
    print("\n" + ", ".join(f"{name} {count / calls:.2f}" for name, count in system_calls.most_common() if count * 100 >= calls))
    for title, counts in (("own", profile.own), ("with what they call", profile.inclusive)):
        print(f"\ninstructions of functions, {title}:\n")
        for name, count in counts.most_common(top):
            print(f"{count / calls:10,.1f} {count * 100 / profile.total:5.1f} %  {name}")
    for title, callers, costs in (("allocations", allocations, allocating), ("copies", copies, copying)):
        print(f"\n{title}, by caller, with their instructions:\n")
        for name, count in callers.most_common(top):
            print(f"{count / calls:10,.2f} {costs[name] / calls:10,.1f}  {name}")
