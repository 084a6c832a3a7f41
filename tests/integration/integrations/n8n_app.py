"""A worker process of the n8n tests: `python -m dramatiq tests.integration.integrations.n8n_app`.

Environment: N8N_STORE, N8N_NAMESPACE, N8N_DESK (where callbacks arrive), N8N_WEBHOOK.
"""

from __future__ import annotations

import os

from engine import Pipeline, Settings, build
from engine.integrations.n8n import QUEUE, n8n

engine = build(
    Settings(
        redis_url=os.environ["N8N_STORE"],
        namespace=os.environ["N8N_NAMESPACE"],
        callback_base_url=os.environ["N8N_DESK"],
        tracing_sample_ratio=0.0,
        queues={QUEUE: {"stall_after_ms": "3s"}, "default": {"stall_after_ms": "3s"}},
    )
)
delegated = Pipeline("delegated", n8n(os.environ["N8N_WEBHOOK"], into=int))
