"""The proxies that are compared, each set up as its own experts would."""

from __future__ import annotations

import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from .process import Program
from .scenario import Scenario, Upstream
from .template import fill
from .tools import Tools


@dataclass(frozen=True)
class Site:
    """What a proxy is told about its surroundings."""

    tools: Tools
    scenario: Scenario
    origin_port: int
    origin_tls_port: int
    cpus: list[int]

    @property
    def upstream_port(self) -> int:
        return self.origin_tls_port if self.scenario.upstream is Upstream.TLS else self.origin_port


@dataclass(frozen=True)
class Ports:
    """Where one proxy listens."""

    calls: int
    http2: int
    """The same in HTTP/2; for those that tell the version by the first bytes it is left free."""
    admin: int


@dataclass(frozen=True)
class Peer:
    """A proxy, and how it differs from the others."""

    name: str
    template: str
    command: Callable[[str, Path, Site], list[str]]
    id_header: str = "X-Correlation-ID"
    http2_apart: bool = False
    """Whether HTTP/2 in clear has a listener of its own."""

    def directory(self, tools: Tools) -> Path:
        return tools.directory / self.name

    def log(self, tools: Tools) -> Path:
        """Its access lines; standard output for those that write them there."""
        return self.directory(tools) / ("access.log" if self.name in ("nginx", "Envoy") else "stdout")

    def calls_port(self, ports: Ports, http2: bool) -> int:
        return ports.http2 if http2 and self.http2_apart else ports.calls

    def program(self, site: Site, ports: Ports, binary: str) -> Program:
        """Writes its configuration and says how it starts."""
        directory = self.directory(site.tools)
        directory.mkdir(exist_ok=True)
        config = directory / self.template
        config.write_text(fill(self.template, _values(self, site, ports), site.scenario.route_names()))
        if self.name == "HAProxy":
            names = site.scenario.route_names()
            (directory / "haproxy.map").write_text("".join(f"{name} {name}\n" for name in names))
        self.log(site.tools).unlink(missing_ok=True)
        return Program(
            name=self.name,
            command=self.command(binary, config, site),
            cpus=site.cpus,
            environment=site.tools.environment,
            output=directory / "stdout",
            port=ports.calls,
        )


def _values(peer: Peer, site: Site, ports: Ports) -> dict[str, object]:
    scenario = site.scenario
    directory = peer.directory(site.tools)
    authority = site.tools.directory / "ca.pem"
    tls = scenario.upstream is Upstream.TLS
    down = scenario.upstream is Upstream.REFUSED
    port = site.upstream_port
    envoy_tls = (
        "transport_socket: {name: tls, typed_config: {"
        '"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, sni: localhost, '
        # By default its client side stops at TLS 1.2.
        "common_tls_context: {tls_params: {tls_maximum_protocol_version: TLSv1_3}, validation_context: {"
        f"trusted_ca: {{filename: {authority}}}, "
        "match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: localhost}}]}}}}"
    )
    sidefuse_tls = f"{{url: 'https://localhost:{port}', endpoints: ['127.0.0.1:{port}'], tls: {{ca_file: {authority}}}}}"
    return {
        "directory": directory,
        "authority": authority,
        "log": peer.log(site.tools),
        "port": ports.calls,
        "h2_port": ports.http2,
        "admin_port": ports.admin,
        "workers": scenario.workers,
        "files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        # Enough for every caller at once; else as many as sidefuse keeps by default.
        "pool": max(256, scenario.connections if scenario.connections <= 1000 else 0),
        "upstream_port": port,
        "scheme": "https" if tls else "http",
        "nginx_down": " down" if down else "",
        "haproxy_tls": f" ssl ca-file {authority} verify required sni str(localhost)" if tls else "",
        "haproxy_down": " disabled" if down else "",
        "envoy_tls": envoy_tls if tls else "",
        "envoy_health": "UNHEALTHY" if down else "UNKNOWN",
        "sidefuse_upstream": sidefuse_tls if tls else f"http://127.0.0.1:{port}",
        "sidefuse_settings": f", {scenario.settings}" if scenario.settings else "",
    }


def _sidefuse(binary: str, config: Path, site: Site) -> list[str]:
    return [binary, "run", "-c", str(config)]


def _nginx(binary: str, config: Path, site: Site) -> list[str]:
    return [binary, "-p", str(config.parent), "-c", str(config), "-e", str(config.parent / "nginx-error.log")]


def _haproxy(binary: str, config: Path, site: Site) -> list[str]:
    return [binary, "-db", "-f", str(config)]


def _envoy(binary: str, config: Path, site: Site) -> list[str]:
    quiet = ["-l", "error", "--log-path", str(config.parent / "envoy-error.log")]
    # A second, as nginx; the default of ten would only make the check before a measurement wait.
    flush = ["--file-flush-interval-msec", "1000"]
    return [binary, "-c", str(config), "--concurrency", str(site.scenario.workers), "--disable-hot-restart", *quiet, *flush]


SIDEFUSE = Peer("sidefuse", "sidefuse.yaml", _sidefuse)
PEERS = (
    SIDEFUSE,
    Peer("nginx", "nginx.conf", _nginx, http2_apart=True),
    Peer("HAProxy", "haproxy.cfg", _haproxy),
    Peer("Envoy", "envoy.yaml", _envoy, id_header="X-Request-ID"),
)
