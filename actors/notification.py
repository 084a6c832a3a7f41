"""Notification: a notice is rendered and handed to a channel.

Owns: the text. Must not: know providers; NOTIFY_CHANNEL names one (`console`, `file:PATH`, ...).
"""

from __future__ import annotations

import os

from actors.deliveries import Notice
from engine import Context, Retry, stage
from engine.errors import ConfigurationError
from engine.integrations.notify import Message, Receipt, notifier

QUEUE = "notifications"


@stage(
    queue=QUEUE,
    retry=Retry(attempts=5, base="30s", give_up_on=(ConfigurationError,)),
    timeout="20s",
)
def notify(notice: Notice, ctx: Context) -> Receipt:
    """Tells those of the tenant who care about this family of events."""
    channel = notifier(os.environ.get("NOTIFY_CHANNEL", "").strip() or "console")
    return channel.send(f"{ctx.tenant}/{notice.family}", render(notice, ctx.run_id))


def render(notice: Notice, run_id: str) -> Message:
    """The text of a notice. Its key is that of every try of the same run."""
    activity = notice.activity
    lines = [
        f"by {activity.actor}" if activity.actor else "",
        activity.url or "",
        *(f"{name}: {value}" for name, value in sorted(notice.facts.items())),
        notice.note or "",
        f"delivery {activity.delivery}",
    ]
    subject = f"URGENT {notice.headline}" if notice.urgent else notice.headline
    return Message(
        subject=subject,
        body="\n".join(line for line in lines if line),
        key=f"{run_id}/{activity.delivery}",
    )
