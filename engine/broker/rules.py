"""Rules: what the policies of a process's queues say to its pump and its beat.

The room owns reading policies for the process as a whole; it holds nothing that changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from engine.config.policies import QueuePolicy
from engine.store.entries import Delivery

_SHARE_OF_CLASS = (1, 2, 4)  # low, medium, high


class Rules:
    """The policies of the queues that one process serves.

    Args:
        policy: Gives the policy of a queue; asked for with every message, so it should remember.
    """

    def __init__(self, policy: Callable[[str], QueuePolicy]) -> None:
        self._policy = policy

    def limits(self, queues: Iterable[str]) -> list[tuple[str, int | None]]:
        """The global concurrency of each queue, None for no limit."""
        return [(queue, self._policy(queue).global_concurrency) for queue in queues]

    def open(self, queues: Iterable[str], held: Callable[[], Counter[str]]) -> list[str]:
        """Queues of which this process may run more; `held` is asked only where one has a cap."""
        caps = {queue: self._policy(queue).local_concurrency for queue in queues}
        if not any(caps.values()):
            return list(caps)
        now = held()
        return [queue for queue, cap in caps.items() if cap is None or now[queue] < cap]

    def shares(
        self, queues: Sequence[str], wanted: int, held: Callable[[], Counter[str]]
    ) -> list[tuple[str, int]]:
        """Open queues, the higher class first; each gets a share so that the lower never starve.

        A share below 0 is all that its queue may give: what this process may run of it at once,
        less what it holds. So nothing waits here for a place, and others can take it.
        """
        classes = {queue: self._policy(queue).priority_class for queue in queues}
        total = sum(_SHARE_OF_CLASS[c] for c in classes.values())
        ordered = sorted(queues, key=lambda queue: -classes[queue])
        shares = [(q, max(1, wanted * _SHARE_OF_CLASS[classes[q]] // total)) for q in ordered]
        caps = {queue: self._policy(queue).local_concurrency for queue in queues}
        if not any(caps.values()):
            return shares
        now = held()
        return [
            (queue, share if (cap := caps[queue]) is None else -min(share, cap - now[queue]))
            for queue, share in shares
        ]

    def silence_ms(self, queues: Iterable[str]) -> int:
        """How long the process may be silent before it counts as dead: the longest of its queues.

        A process has one heart: with the shortest, a queue of long seizures would lose its leases.
        """
        longest = max((self._policy(queue).stall_after_ms for queue in queues), default=0)
        return longest or QueuePolicy.model_fields["stall_after_ms"].default

    def overdue(self, delivery: Delivery, now_ms: int) -> str | None:
        """Why a message has waited too long to be run, in words; None if it has not."""
        most_ms = self._policy(delivery.queue).max_wait_ms
        waited_ms = now_ms - delivery.due_at_ms
        if most_ms is None or waited_ms <= most_ms:
            return None
        return f"it waited {waited_ms:,} ms; max_wait of queue {delivery.queue!r} is {most_ms:,} ms"
