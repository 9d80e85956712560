"""The upstream: nginx, which answers at once, on the CPU of the load."""

from __future__ import annotations

import subprocess
from pathlib import Path

from .failure import Failure
from .process import Program
from .scenario import ANSWER, KIB
from .template import fill
from .tools import Tools

_SIZES = (64 * KIB, KIB * KIB)


def origin(tools: Tools, values: dict[str, object], cpu: int) -> Program:
    """Writes all that it serves below the bench's folder; starting it is left to the caller."""
    directory = tools.directory
    files = directory / "bytes"
    files.mkdir(exist_ok=True)
    for size in _SIZES:
        (files / str(size)).write_bytes(bytes(size))
    _certificate(directory)
    config = directory / "origin.conf"
    config.write_text(fill("origin.conf", {**values, "answer": ANSWER}, []))
    return Program(
        name="the upstream (nginx)",
        command=[tools["nginx"], "-p", str(directory), "-c", str(config), "-e", str(directory / "origin-error.log")],
        cpus=[cpu],
        environment=tools.environment,
        output=directory / "origin.stdout",
        port=int(str(values["origin_port"])),
    )


def _certificate(directory: Path) -> None:
    """A certificate for `localhost` and the authority that signed it; made once."""
    if (directory / "origin.pem").exists():
        return
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650"]
    (directory / "origin.ext").write_text("subjectAltName=DNS:localhost\nbasicConstraints=critical,CA:FALSE\n")
    signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "3650", "-extfile", "origin.ext"]
    for arguments in (
        ["req", "-x509", *key, "-subj", "/CN=bench authority", "-keyout", "ca.key", "-out", "ca.pem"],
        ["req", *key[:-2], "-subj", "/CN=localhost", "-keyout", "origin.key", "-out", "origin.csr"],
        ["x509", "-req", "-in", "origin.csr", *signed, "-out", "origin.pem"],
    ):
        try:
            done = subprocess.run(["openssl", *arguments], cwd=directory, capture_output=True, text=True)
        except FileNotFoundError:
            raise Failure("openssl is missing; install Debian's openssl") from None
        if done.returncode:
            raise Failure(f"openssl {arguments[0]} fails: {done.stderr.strip()}")
