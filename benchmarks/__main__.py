"""One command for every figure: `python -m benchmarks [--quick] [--json FILE] [MEASURE ...]`.

Owns: the command line. Each run gets a throwaway server (AOF everysec) and real `dramatiq` worker
processes; three interleaved rounds, medians. Nobody's log level is lowered; every worker logs to a
file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
from pathlib import Path

from benchmarks import measures, peers
from benchmarks.rounds import Case, cases, play
from benchmarks.table import report
from tests.servers import find_binary


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fifth of the work, one round")
    parser.add_argument("--rounds", type=int, help="default: 3, with --quick 1")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round here")
    parser.add_argument("--peers", help=f"comma-separated; default: {','.join(peers.NAMES)}")
    parser.add_argument("--server", help="redis, valkey or a path; default: the first found")
    parser.add_argument("--no-pinned", action="store_true", help="leave out the one-core runs")
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=" ".join(measures.NAMES))
    options = parser.parse_args(argv)
    if unknown := set(options.measures) - set(measures.NAMES):
        parser.error(f"unknown measure {', '.join(unknown)}; known: {' '.join(measures.NAMES)}")
    if options.peers and (unknown := set(options.peers.split(",")) - set(peers.NAMES)):
        parser.error(f"unknown peer {', '.join(unknown)}; known: {' '.join(peers.NAMES)}")
    return options


def _as_json(played: list[Case], server: str) -> str:
    return json.dumps(
        {
            "machine": {
                "cores": os.cpu_count(),
                "python": platform.python_version(),
                "server": server,
            },
            "measures": [
                {
                    "name": case.title,
                    "medians": case.medians(),
                    "rounds": case.results,
                    "failures": case.failures,
                }
                for case in played
            ],
        },
        indent=1,
    )


def main(argv: list[str] | None = None) -> int:
    """Run, print the table, and give 1 when a peer failed to finish."""
    options = _arguments(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers and workers end too
    rounds = options.rounds or (1 if options.quick else 3)
    chosen = {
        n: m for n, m in measures.known().items() if n in (options.measures or measures.NAMES)
    }
    wanted = options.peers.split(",") if options.peers else peers.NAMES
    contestants = {name: peer for name, peer in peers.known().items() if name in wanted}
    for peer in contestants.values():
        if peer.missing:
            print(f"{peer.name} is left out: {peer.missing}", file=sys.stderr)
    played = [c for c in cases(chosen.values()) if not (c.cores and options.no_pinned)]
    for case in played:
        play(case, contestants, rounds, options.quick, options.server)
        print(report(case), flush=True)
        if options.json:  # after each case: a run that is stopped keeps what it has
            options.json.write_text(_as_json(played, find_binary(options.server)))
    return 1 if any(case.failures for case in played) else 0


if __name__ == "__main__":
    sys.exit(main())
