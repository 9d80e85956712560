"""What is measured: one kind of call, carried by proxies that are set up for it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

KIB = 1024
ANSWER = (
    '{"messaging_product":"whatsapp","contacts":[{"input":"5511999999999","wa_id":"5511999999999"}],'
    '"messages":[{"id":"wamid.HBgLNTUxMTk5OTk5OTk5OTA"}]}'
)


class Load(enum.Enum):
    """How calls are made."""

    CLOSED = "wrk"
    """HTTP/1.1; each connection makes its next call when it has its answer."""
    STREAMS = "h2load"
    """HTTP/2 in clear, 100 streams of one connection."""
    PACED = "steady"
    """HTTP/1.1 at a fixed rate, whatever the answers do."""
    IDLE = "idle"
    """One call per connection, which then stays open."""
    SLOW = "slow"
    """Each connection asks for one answer after the other and reads them slowly."""
    LASTING = "lasting"
    """As `CLOSED`, with an eye on the memory all the while."""
    START = "start"
    """None: the time until the first answer is measured."""


class Upstream(enum.Enum):
    """What the proxies find behind them."""

    CLEAR = "http"
    TLS = "https"
    REFUSED = "refused"
    """They know it to be down, and say so without asking it."""


@dataclass(frozen=True)
class Scenario:
    """A row of the catalogue."""

    name: str
    title: str
    load: Load = Load.CLOSED
    upstream: Upstream = Upstream.CLEAR
    path: str = "messages"
    upload: int = 0
    """Bytes of the request's body; none is a GET."""
    connections: int = 64
    routes: int = 1
    workers: int = 1
    settings: str = ""
    """What else the routes of sidefuse have. The other proxies have nothing like it and stay as they are."""

    @property
    def method(self) -> str:
        return "POST" if self.upload else "GET"

    @property
    def fresh(self) -> bool:
        """Whether each round needs proxies that have carried nothing yet: memory once taken is not given back."""
        return self.load in (Load.IDLE, Load.SLOW, Load.LASTING, Load.START)

    @property
    def on_demand(self) -> bool:
        """Whether it is measured only when it is named: it tells something after minutes, and nothing after seconds."""
        return self.load is Load.LASTING

    def within(self, files: int) -> Scenario:
        """This one with so many connections as a proxy with that many open files may have: sidefuse gives callers half of them."""
        most = (files - 1000) // 2000 * 1000
        if self.load is not Load.IDLE or self.connections <= most or most <= 0:
            return self
        return replace(self, connections=most, title=_idle(most))

    def route_names(self) -> list[str]:
        return [f"route-{number}" for number in range(self.routes)]

    def paths(self) -> list[str]:
        """Where calls go: up to ten routes, from the first to the last."""
        names = self.route_names()
        last = len(names) - 1
        chosen = sorted({round(last * tenth / 9) for tenth in range(10)})
        return [f"/{names[index]}/{self.path}" for index in chosen]


def _idle(connections: int) -> str:
    return f"{connections:,} connections that are open and idle".replace(",", " ")


POLICIES = (
    "attempt_timeout: 5s, max_duration: 60s, retry: {attempts: 3}, throttle: {wait: 1s}, "
    "limits: {concurrency: {max: 1000, queue: 1000}, rate: {per_second: 1000000, key: client_ip}}, "
    "breaker: {failure_ratio: 50%, slow_ratio: 50%, slow_after: 3s, key: {path_segment: 2}}, "
    "shadow: {strict: {failure_threshold: 3}}, fallback: {respond: {status: 503, body: down}}, "
    "classify: [{status: 404, as: failure}, {header: {X-Maintenance: '*'}, as: failure}, inherited]"
)
"""One of each policy that a route can have, and none that ever acts."""

RATE = 1000
"""Calls per second of `Load.PACED`."""

SLOW_RATE = 64 * KIB
"""Bytes per second that each connection of `Load.SLOW` reads."""

SCENARIOS = (
    Scenario("small", "small JSON over HTTP/1.1, 64 connections"),
    Scenario("policies", "small JSON, sidefuse with a policy of each kind", settings=POLICIES),
    Scenario("h2", "small JSON over HTTP/2 in clear, 100 streams of one connection", load=Load.STREAMS, connections=1),
    Scenario("down-64k", "answers of 64 KiB", path=f"bytes/{64 * KIB}"),
    Scenario("down-1m", "answers of 1 MiB", path=f"bytes/{KIB * KIB}"),
    Scenario("up-64k", "requests of 64 KiB", path="upload", upload=64 * KIB),
    Scenario("up-1m", "requests of 1 MiB", path="upload", upload=KIB * KIB),
    Scenario(
        "slow-down-1m",
        f"answers of 1 MiB to 200 callers that each take {SLOW_RATE // KIB} KiB a second",
        load=Load.SLOW,
        path=f"bytes/{KIB * KIB}",
        connections=200,
    ),
    Scenario("tls", "small JSON, TLS 1.3 to the upstream", upstream=Upstream.TLS),
    Scenario("open", "refusals while the breaker is open", upstream=Upstream.REFUSED),
    Scenario("paced", f"small JSON at {RATE} calls a second over 16 connections", load=Load.PACED, connections=16),
    Scenario(
        "paced-open",
        f"refusals at {RATE} calls a second over 16 connections",
        load=Load.PACED,
        upstream=Upstream.REFUSED,
        connections=16,
    ),
    Scenario("connections-1", "small JSON, 1 connection", connections=1),
    Scenario("connections-1000", "small JSON, 1 000 connections", connections=1000),
    Scenario("idle", _idle(10_000), load=Load.IDLE, connections=10_000),
    Scenario("routes-10", "small JSON, 10 routes", routes=10),
    Scenario("routes-1000", "small JSON, 1 000 routes", routes=1000),
    Scenario("routes-10000", "small JSON, 10 000 routes", routes=10_000),
    Scenario("start-5", "from the start to the first answer, 5 routes", load=Load.START, routes=5),
    Scenario("start-1000", "from the start to the first answer, 1 000 routes", load=Load.START, routes=1000),
    Scenario("lasting", "small JSON for as long as --seconds says, nobody scrapes; only when named", load=Load.LASTING),
    Scenario("workers-2", "small JSON, 2 workers on both CPUs, shared with load and upstream", workers=2),
)
