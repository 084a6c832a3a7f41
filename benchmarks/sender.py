"""The sender process: call one function of a workload module and print what it returns as JSON.

    python -m benchmarks.sender benchmarks.workloads.stock send_single '{"count": 1000}'

Owns: that command line. A process of its own keeps the peers' global brokers apart.
"""

from __future__ import annotations

import importlib
import json
import sys

if __name__ == "__main__":
    workload, verb, arguments = sys.argv[1:4]
    result = getattr(importlib.import_module(workload), verb)(**json.loads(arguments))
    print(json.dumps(result))
