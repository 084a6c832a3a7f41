"""Orchestration: which way an activity goes, what is told of it, and the end of the run.

Owns: the families of events and their headlines. Must not: send or look up anything.
"""

from __future__ import annotations

from actors.deliveries import Activity, Closing, Notice, cut
from engine import stage
from engine.integrations.notify import Receipt

QUEUE = "orchestration-flows"

_FAMILIES = {
    "code": (
        "push create delete fork release status merge_group pull_request pull_request_review"
        " pull_request_review_comment pull_request_review_thread check_run check_suite"
        " commit_comment deployment deployment_status package page_build workflow_dispatch"
        " workflow_job workflow_run"
    ),
    "conversation": (
        "issues issue_comment discussion discussion_comment gollum label milestone star watch"
    ),
    "security": (
        "branch_protection_rule code_scanning_alert dependabot_alert deploy_key"
        " secret_scanning_alert repository_vulnerability_alert security_advisory"
    ),
}
_FAMILY_OF = {event: family for family, events in _FAMILIES.items() for event in events.split()}


def family_of(activity: Activity) -> str:
    """Names the way an activity goes: `code`, `conversation`, `security`, else `other`."""
    return _FAMILY_OF.get(activity.event, "other")


@stage(queue=QUEUE, timeout="10s")
def brief_developers(activity: Activity) -> Notice:
    """What changed in the code."""
    return Notice(activity=activity, family="code", headline=_headline(activity))


@stage(queue=QUEUE, timeout="10s")
def brief_participants(activity: Activity) -> Notice:
    """Who said what."""
    said = f"{activity.actor or 'somebody'}: {_headline(activity)}"
    return Notice(activity=activity, family="conversation", headline=cut(said))


@stage(queue=QUEUE, timeout="10s", priority=8)
def brief_guards(activity: Activity) -> Notice:
    """What may be a danger: urgent, and ahead of the rest."""
    warning = cut(f"Security: {_headline(activity)}")
    return Notice(activity=activity, family="security", headline=warning, urgent=True)


@stage(queue=QUEUE, timeout="10s")
def brief_owners(activity: Activity) -> Notice:
    """Everything else is for the owners of the account."""
    return Notice(activity=activity, family="other", headline=_headline(activity))


@stage(queue=QUEUE, timeout="10s")
def conclude(receipt: Receipt, counted: dict[str, int]) -> Closing:
    """Puts the ends of both branches together."""
    return Closing(
        delivery=receipt.id.partition("/")[2],
        channel=receipt.channel,
        recipient=receipt.recipient,
        counted=counted,
    )


def _headline(activity: Activity) -> str:
    what = activity.event.replace("_", " ")
    where = f" in {activity.repository}" if activity.repository else ""
    about = f": {activity.subject}" if activity.subject else ""
    return cut(f"{what} {activity.action or 'received'}{where}{about}")
