"""Settings: what an engine can be told, by environment variables or by arguments.

Owns: the public names of the settings. Must not: read the environment or a file at import.
"""

from __future__ import annotations

from engine.config.backbone import BACKBONE, Profile
from engine.config.policies import QueuePolicy, RetentionPolicy, RetryPolicy, TenantLimits
from engine.config.settings import Settings, load_settings

__all__ = [
    "BACKBONE",
    "Profile",
    "QueuePolicy",
    "RetentionPolicy",
    "RetryPolicy",
    "Settings",
    "TenantLimits",
    "load_settings",
]
