"""Looks whether a proxy does the work that it is measured for; one that does less would be faster."""

from __future__ import annotations

import http.client
import json
import time
import uuid
from pathlib import Path

from .failure import Failure
from .load import Aim
from .peer import Peer
from .scenario import ANSWER, Scenario, Upstream

_PATIENCE = 15.0


def check(peer: Peer, scenario: Scenario, aim: Aim, log: Path) -> None:
    """Fails unless right answers come, the id goes up and comes back, and the call has its line."""
    for path in aim.paths:
        _answers(peer, scenario, aim, path)
    token = str(uuid.uuid4())
    path = f"{aim.paths[-1].rsplit('/' + scenario.path, 1)[0]}/seen/{token}"
    answer, body = _call(peer, aim.port, "GET", path, {peer.id_header: token})
    if answer.getheader(peer.id_header) != token:
        raise Failure(f"{peer.name} does not give the caller's {peer.id_header} back")
    if scenario.upstream is not Upstream.REFUSED and json.loads(body).get(peer.id_header) != token:
        raise Failure(f"{peer.name} does not send the caller's {peer.id_header} on")
    line = _line(peer, log, token)
    if line.get("correlationId") != token or token not in str(line.get("requestPath")):
        raise Failure(f"{peer.name} writes another line than the one expected: {line}")
    log.write_text("")


def _answers(peer: Peer, scenario: Scenario, aim: Aim, path: str) -> None:
    answer, body = _call(peer, aim.port, scenario.method, path, {}, b"x" * scenario.upload or None)
    if answer.status != aim.status:
        raise Failure(f"{peer.name} answers {scenario.method} {path} with {answer.status}, not {aim.status}: {body[:200]!r}")
    if not answer.getheader(peer.id_header):
        raise Failure(f"{peer.name} gives a call without an id none")
    if scenario.upstream is Upstream.REFUSED:
        return
    right = bytes(int(path.rsplit("/", 1)[1])) if "/bytes/" in path else ANSWER.encode()
    if body != right:
        raise Failure(f"{peer.name} answers {scenario.method} {path} with another body than the upstream's")


def _call(
    peer: Peer, port: int, method: str, path: str, headers: dict[str, str], body: bytes | None = None
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        return answer, answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Failure(f"{peer.name} does not answer {method} {path}: {error!r}") from None
    finally:
        connection.close()


def _line(peer: Peer, log: Path, token: str) -> dict[str, object]:
    """The access line of the call whose path has the token; lines are buffered, so it may take a moment."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        for line in log.read_text(errors="replace").splitlines() if log.exists() else []:
            if token in line:
                try:
                    return dict(json.loads(line))
                except ValueError:
                    raise Failure(f"{peer.name} writes a line that is no JSON: {line}") from None
        time.sleep(0.05)
    raise Failure(f"{peer.name} writes no line for a call")
