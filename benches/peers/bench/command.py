"""The command line."""

from __future__ import annotations

import argparse
import fcntl
import json
import resource
import signal
import sys
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Callable, Iterator, NoReturn, Sequence

from .failure import Failure
from .machine import describe
from .measure import Figures, measure
from .peer import PEERS, SIDEFUSE
from .scenario import SCENARIOS
from .stage import PORTS, Cpus, Setting
from .table import bars_table, scenario_table
from .tools import DIRECTORY, build, find, install, target


def main(arguments: Sequence[str]) -> int:
    """Measures what the arguments ask for; 0 when every figure is there, 1 when something is missing, 2 for bad usage."""
    asked = _parse(arguments)
    return within(asked.directory or target() / DIRECTORY, lambda directory: _run(asked, directory))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benches/peers/run",
        description="Measures sidefuse beside nginx, HAProxy and Envoy, one worker each on a CPU of its own.",
        epilog="scenarios:\n" + "\n".join(f"  {each.name:18}{each.title}" for each in SCENARIOS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [each.name for each in SCENARIOS]
    peers = [each.name for each in PEERS]
    parser.add_argument("--scenario", action="append", choices=names, metavar="NAME", help="may come more than once (default: all)")
    parser.add_argument("--peer", action="append", choices=peers[1:], metavar="NAME", help=f"{', '.join(peers[1:])} (default: all)")
    parser.add_argument("--rounds", type=_count, default=5, metavar="N", help="turns of each proxy (default: 5)")
    parser.add_argument("--seconds", type=_count, default=3, metavar="N", help="length of a turn (default: 3)")
    parser.add_argument("--binary", type=Path, metavar="PATH", help="the sidefuse to measure (default: a release build of this tree)")
    parser.add_argument("--port", type=_port, default=0, metavar="N", help=f"the first of {PORTS} ports (default: free ones)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes every round there too")
    parser.add_argument("--directory", type=Path, metavar="DIR", help=f"where it writes (default: target/{DIRECTORY})")
    installing = parser.add_mutually_exclusive_group()
    installing.add_argument("--install", action="store_true", help="brings the programs that are missing and does nothing else")
    installing.add_argument("--as-is", action="store_true", help="measures with the programs that are there")
    return parser.parse_args(arguments)


def _run(asked: argparse.Namespace, directory: Path) -> int:
    tools = find(directory) if asked.as_is else install(directory)
    peers = [SIDEFUSE.name]
    for peer in PEERS[1:]:
        if peer.name.lower() not in tools:
            print(f"benches/peers: {peer.name} is missing and left out", file=sys.stderr)
        elif not asked.peer or peer.name in asked.peer:
            peers.append(peer.name)
    if asked.install:
        return 0 if len(peers) == len(PEERS) else 1
    setting = Setting(tools, Cpus.choose(), build(asked.binary), asked.port, peers)
    about = describe(tools, setting.binary, bool(asked.binary))
    print("\n".join(f"{name}: {words}" for name, words in about.items()), end="\n\n", flush=True)
    results: dict[str, Figures] = {}
    whole = True
    if asked.json:
        # Now, not after minutes, it is known whether that can be done.
        _write(asked.json, about, results)
    for scenario in SCENARIOS:
        if scenario.name not in asked.scenario if asked.scenario else scenario.on_demand:
            continue
        scenario = scenario.within(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        try:
            results[scenario.name] = measure(setting, scenario, asked.rounds, asked.seconds)
        except Failure as failure:
            # One that cannot be set up here, for want of a generator perhaps, leaves the others alone.
            print(f"benches/peers: {scenario.name} is left out: {failure}", file=sys.stderr)
            whole = False
            continue
        print(scenario_table(results[scenario.name]), flush=True)
        if asked.json:
            # After each, so that a run that is cut short has something to show.
            _write(asked.json, about, results)
    print(bars_table(results), end="", flush=True)
    return 0 if whole and all(_whole(figures) for figures in results.values()) else 1


def _whole(figures: Figures) -> bool:
    """Whether everybody who was to be measured has a figure."""
    return not figures.absent and all(figures.good(name) for name in figures.rounds)


def _write(file: Path, about: dict[str, str], results: dict[str, Figures]) -> None:
    scenarios = {
        name: {
            "title": figures.scenario.title,
            "absent": figures.absent,
            "rounds": {peer: [asdict(each) for each in rounds] for peer, rounds in figures.rounds.items()},
        }
        for name, figures in results.items()
    }
    try:
        file.write_text(json.dumps({"about": about, "scenarios": scenarios}, indent=1) + "\n")
    except OSError as error:
        raise Failure(f"cannot write {file}: {error.strerror}") from None


def within(directory: Path, work: Callable[[Path], int]) -> int:
    """Does the work in a folder of its own, and makes an exit code of whatever ends it."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, _ended)
    _more_files()
    try:
        with _alone(directory):
            return work(directory)
    except Failure as failure:
        print(f"benches/peers: {failure}", file=sys.stderr)
        return 1
    except _Ended as ended:
        return 128 + ended.signum


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """The bench's folder, for one run at a time: two would measure each other."""
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Failure(f"another run is under way in {directory}") from None
        yield


def _more_files() -> None:
    """Ten thousand connections are ten thousand files here and more in each proxy; programs inherit the limit."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = 65_536 if most == resource.RLIM_INFINITY else min(most, 65_536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


class _Ended(BaseException):
    """A signal asks us to end. Whoever has started something ends it while this passes."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def _ended(signum: int, frame: object) -> NoReturn:
    raise _Ended(signum)


def _count(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= 3600:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 3600")
    return number


def _port(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1024 <= number <= 65000:
        raise argparse.ArgumentTypeError(f"{text} is not between 1024 and 65000")
    return number
