"""A scenario set up: the upstream and every proxy running, checked and ready to be measured."""

from __future__ import annotations

import http.client
import os
import resource
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Iterator, Sequence

from .check import check
from .failure import Failure
from .load import Aim
from .origin import origin
from .peer import PEERS, SIDEFUSE, Peer, Ports, Site
from .process import Running, free, running
from .scenario import Load, Scenario, Upstream
from .tools import Tools

PORTS = 2 + 3 * len(PEERS)
"""How many a run needs, one after the other."""
_LOWEST = 11_000
_PLACES = 1_400
DIRECT = "direct"
"""The name under which calls that no proxy carries are measured."""


@dataclass(frozen=True)
class Cpus:
    """Who runs where."""

    proxy: int
    load: int

    @staticmethod
    def choose() -> Cpus:
        allowed = sorted(os.sched_getaffinity(0))
        if len(allowed) < 2:
            print("one CPU: load and upstream share it with the proxies, and the figures suffer", file=sys.stderr)
        return Cpus(proxy=allowed[0], load=allowed[-1])


@dataclass(frozen=True)
class Entrant:
    """Somebody whose turn comes in each round."""

    name: str
    aim: Aim
    running: Running | None
    """None for direct calls, which cost no proxy anything."""
    peer: Peer | None

    def empty_log(self, tools: Tools) -> None:
        if self.peer:
            log = self.peer.log(tools)
            if log.exists():
                os.truncate(log, 0)


@dataclass
class Stage:
    """All that runs for one scenario."""

    tools: Tools
    scenario: Scenario
    cpus: Cpus
    entrants: list[Entrant] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)
    """Who is left out, and why."""


@dataclass(frozen=True)
class Setting:
    """What all scenarios have in common."""

    tools: Tools
    cpus: Cpus
    binary: str
    first_port: int
    """0 lets the system choose."""
    peers: Sequence[str]


def _files(scenario: Scenario) -> None:
    needed, limit = scenario.connections + 500, resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit < needed:
        raise Failure(f"scenario {scenario.name} needs {needed} open files and the limit is {limit}; raise it with ulimit -Hn")


@contextmanager
def stage(setting: Setting, scenario: Scenario) -> Iterator[Stage]:
    """Starts everything, checks it, and ends it."""
    _files(scenario)
    given = ports(setting.first_port)
    set_up = Stage(setting.tools, scenario, setting.cpus)
    with ExitStack() as started:
        values: dict[str, object] = {
            "directory": setting.tools.directory,
            "origin_port": given[0],
            "origin_tls_port": given[1],
        }
        free("the upstream", given[0])
        free("the upstream's TLS", given[1])
        started.enter_context(running(origin(setting.tools, values, setting.cpus.load)))
        if scenario.load is Load.PACED and scenario.upstream is Upstream.CLEAR:
            aim = Aim(given[0], [f"/{scenario.path}"], 200)
            set_up.entrants.append(Entrant(DIRECT, aim, None, None))
        every = {setting.cpus.proxy, setting.cpus.load}
        cpus = sorted(every) if scenario.workers > 1 else [setting.cpus.proxy]
        site = Site(setting.tools, scenario, given[0], given[1], cpus)
        for index, peer in enumerate(PEERS):
            first = 2 + 3 * index
            own = Ports(given[first], given[first + 1], given[first + 2])
            if peer.name not in setting.peers:
                continue
            try:
                set_up.entrants.append(_enter(started, peer, site, own, setting))
            except Failure as failure:
                set_up.absent[peer.name] = str(failure)
        yield set_up


def _enter(started: ExitStack, peer: Peer, site: Site, ports: Ports, setting: Setting) -> Entrant:
    binary = setting.binary if peer is SIDEFUSE else setting.tools[peer.name.lower()]
    scenario = site.scenario
    for port in (ports.http2, ports.admin):
        free(peer.name, port)
    with ExitStack() as trial:
        # One that fails its check is ended at once, not only with the others.
        process = trial.enter_context(running(peer.program(site, ports, binary)))
        refused = scenario.upstream is Upstream.REFUSED
        if refused and peer is SIDEFUSE:
            force_open(ports.admin, scenario)
        status = (502 if peer.name == "nginx" else 503) if refused else 200
        plain = Aim(ports.calls, scenario.paths(), status)
        check(peer, scenario, plain, peer.log(setting.tools))
        port = peer.calls_port(ports, scenario.load is Load.STREAMS)
        started.push(trial.pop_all())
    return Entrant(peer.name, Aim(port, scenario.paths(), status), process, peer)


def force_open(port: int, scenario: Scenario) -> None:
    """Has sidefuse refuse every call; the port is that of its operators."""
    for route in scenario.route_names():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request(
            "POST", f"/circuit-breakers/{route}/open", body="{}", headers={"Content-Type": "application/json"}
        )
        answer = connection.getresponse()
        said = answer.read()
        connection.close()
        if answer.status != 200:
            raise Failure(f"sidefuse does not open the breaker of {route}: {answer.status} {said[:200]!r}")


def ports(first: int) -> list[int]:
    """The ports of a run: those asked for, or the first free ones of a part that is likely nobody's."""
    if first:
        return list(range(first, first + PORTS))
    # Below the ports that systems give to whoever asks for any; those may be taken between our look and the start. Runs at the same
    # time begin at different places.
    for turn in range(_PLACES):
        found = range(begin := _LOWEST + (os.getpid() + turn) % _PLACES * PORTS, begin + PORTS)
        try:
            for port in found:
                free("", port)
        except Failure:
            continue
        return list(found)
    raise Failure("no free ports")
