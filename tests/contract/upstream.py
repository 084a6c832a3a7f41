"""Run Dramatiq's own test modules against its Redis broker or ours.

    python -m tests.contract.upstream [--broker stock|callboard] [-k EXPRESSION] [MODULE ...]

Owns: fetching Dramatiq's source distribution into a cache (nothing of it is committed), laying its
test modules out beside fixtures of our own, a throwaway server, and the pytest process. Exit code
is pytest's.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.contract.brokers import NAMES
from tests.servers import ThrowawayServer

VERSION = "2.2.1"
ROOT = Path(__file__).resolve().parents[2]
MODULES = (
    "test_redis",
    "test_results",
    "test_callbacks",
    "test_composition",
    "test_barrier",
    "test_bucket_rate_limiter",
    "test_concurrent_rate_limiter",
    "test_window_rate_limiter",
    "test_generic_actors",
    "test_actors",
    "test_messages",
)
PACKAGE = "dramatiq_tests"  # not `tests`: that name is ours in the same process
COMMON = "from tests.contract.upstream_common import *\n"
INI = "[pytest]\naddopts = -p no:cacheprovider\nfilterwarnings = ignore\n"


class UpstreamMissing(RuntimeError):
    """The source distribution could not be fetched; nothing was run."""


def source_distribution(cache: Path) -> Path:
    """Give the path of Dramatiq's source distribution, downloading it once.

    Raises:
        UpstreamMissing: pip is missing or failed; its last lines are in the message.
    """
    archive = cache / f"dramatiq-{VERSION}.tar.gz"
    if archive.exists():
        return archive
    cache.mkdir(parents=True, exist_ok=True)
    (cache / ".gitignore").write_text("*\n")
    command = [*_pip(), "download", "--no-binary", ":all:", "--no-deps", "--dest", str(cache)]
    done = subprocess.run(
        [*command, f"dramatiq=={VERSION}"], capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode or not archive.exists():
        raise UpstreamMissing(
            f"pip could not download dramatiq {VERSION}:\n{(done.stderr or done.stdout)[-2000:]}"
        )
    return archive


def _pip() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    uv = shutil.which("uv")
    if uv:  # a virtual environment made by uv has no pip of its own
        return [uv, "run", "--no-project", "--with", "pip", "python", "-m", "pip"]
    raise UpstreamMissing("neither pip nor uv is installed in this environment")


def lay_out(archive: Path, cache: Path) -> Path:
    """Unpack the test modules as a package with our `common`; give the directory above it.

    The directory's name carries a digest of the archive, so that another release does not mix in.
    """
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()[:12]
    place = cache / f"dramatiq-{VERSION}-{digest}"
    package = place / PACKAGE
    if not package.exists():
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            with tarfile.open(archive) as tar:
                tar.extractall(scratch, filter="data")
            shutil.copytree(Path(scratch) / f"dramatiq-{VERSION}" / "tests", package)
    (package / "__init__.py").write_text("")
    (package / "common.py").write_text(COMMON)
    (place / "pytest.ini").write_text(INI)
    return place


def run(broker: str, place: Path, modules: list[str], extra: list[str], server: str | None) -> int:
    """Run the modules with pytest on a throwaway server; give pytest's exit code."""
    with ThrowawayServer(server, appendfsync=None) as running:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(place)]),
            "CONFORMANCE_BROKER": broker,
            "CONFORMANCE_PORT": str(running.port),
        }
        command = [sys.executable, "-m", "pytest", "-c", str(place / "pytest.ini")]
        command += ["--rootdir", str(place), "--confcutdir", str(place), "--import-mode=importlib"]
        command += ["-p", "tests.contract.upstream_fixtures", "-q", *extra]
        command += [str(place / PACKAGE / f"{name}.py") for name in modules]
        return subprocess.run(command, env=environment, cwd=place, check=False).returncode


def main(argv: list[str] | None = None) -> int:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m tests.contract.upstream")
    parser.add_argument("--broker", choices=NAMES, default="callboard")
    parser.add_argument("--server", help="redis, valkey or a path; default: the first found")
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "upstream")
    parser.add_argument("--with-exceptions", action="store_true", help="run the excepted tests too")
    parser.add_argument("-k", dest="expression", help="as for pytest")
    parser.add_argument("-x", action="store_true", help="stop at the first failure")
    parser.add_argument("--durations", type=int, default=5)
    parser.add_argument("modules", nargs="*", help=f"default: {' '.join(MODULES)}")
    options = parser.parse_args(argv)
    extra = [f"--durations={options.durations}"]
    extra += ["-k", options.expression] if options.expression else []
    extra += ["-x"] if options.x else []
    extra += ["--with-exceptions"] if options.with_exceptions else []
    try:
        place = lay_out(source_distribution(options.cache), options.cache)
    except UpstreamMissing as error:
        parser.exit(2, f"{error}\n")
    return run(options.broker, place, options.modules or list(MODULES), extra, options.server)


if __name__ == "__main__":
    sys.exit(main())
