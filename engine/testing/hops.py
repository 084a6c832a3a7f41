"""The hop, in memory: what becomes of runs when attempts end, signals come and runs are cancelled.

Owns: the reference of what each edge means. Must not: run stages or let time pass.

The store's scripts do the same in Redis. Where both could be read differently, the docstrings of
`engine.workflow.edges` decide.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from engine.clock import Clock
from engine.errors import RunEnded
from engine.testing.agenda import Agenda, Message
from engine.testing.journal import Journal
from engine.testing.ledger import DeadLetter, Ledger, Parent, StageRecord
from engine.testing.meeting import Join, Scope, Spread
from engine.workflow.edges import (
    Arrive,
    Edge,
    End,
    Extend,
    First,
    OpenEach,
    OpenJoin,
    Send,
    StartChild,
    Undo,
    Wait,
)
from engine.workflow.names import TIMER_STAGE
from engine.workflow.outcome import Dead, Done, Outcome, RetryAt, Snoozed
from engine.workflow.plan import Plan
from engine.workflow.run import RunState
from engine.workflow.transitions import caught


class Hops:
    """All runs, and the one place where they change.

    Args:
        clock: the server's clock, so to speak.
        agenda: where messages wait.
        plan_of: plan by its hash, for child runs.
        new_id: makes run ids.
    """

    def __init__(
        self,
        clock: Clock,
        agenda: Agenda,
        plan_of: Callable[[str], Plan],
        new_id: Callable[[], str],
    ) -> None:
        self.runs: dict[str, Ledger] = {}
        self.journal = Journal(clock)
        self._clock = clock
        self._agenda = agenda
        self._plan_of = plan_of
        self._new_id = new_id

    # -- a run begins and ends

    def begin(self, ledger: Ledger, edges: Iterable[Edge]) -> None:
        """Take in a run and what it begins with."""
        self.runs[ledger.id] = ledger
        self.journal.tell(ledger, "run.started")
        self.apply(ledger, edges)

    def cancel(self, ledger: Ledger, *, undo: bool = False) -> bool:
        """Cancel a run; False if it had ended, or failed and is being undone."""
        if ledger.state is not RunState.RUNNING:
            return False
        if undo and ledger.undos:
            self._undo(ledger, RunState.CANCELLED)
        else:
            self._end(ledger, RunState.CANCELLED)
        return True

    def pause(self, ledger: Ledger) -> bool:
        """Hold a run; False if it was held."""
        if ledger.state.ended:
            raise RunEnded(ledger.id, ledger.state)
        held, ledger.paused = ledger.paused, True
        if not held:
            self.journal.tell(ledger, "run.paused")
        return not held

    def resume(self, ledger: Ledger) -> bool:
        """Let a held run go on; False if it was not held."""
        held, ledger.paused = ledger.paused, False
        if held:
            self.journal.tell(ledger, "run.resumed")
        aside, ledger.aside = ledger.aside, []
        for message in aside:
            self._agenda.add(message, self._clock.now_ms())
        return held

    def signal(self, ledger: Ledger, name: str, value: bytes, once: str | None) -> bool:
        """Serve the oldest wait of a name, else keep the signal; False if `once` did so before.

        Raises:
            RunEnded: the run takes no signal.
        """
        if ledger.state is not RunState.RUNNING:
            raise RunEnded(ledger.id, ledger.state)
        if once is not None:
            if once in ledger.once:
                return False
            ledger.once.add(once)
        self.journal.tell(ledger, "signal.sent", signal=name)
        for position, wait in ledger.waits.items():
            if wait.name == name:
                self._close_wait(ledger, position)
                self._follow(ledger, wait.successor, value)
                return True
        ledger.signals.setdefault(name, deque()).append(value)
        return True

    def _end(self, ledger: Ledger, state: RunState) -> None:
        ledger.state = state
        ledger.ended_at_ms = self._clock.now_ms()
        self.resume(ledger)
        if state is not RunState.FAILED or ledger.compensates:
            ledger.drop()
        self._cancel_children(ledger, None)
        self.journal.tell(ledger, f"run.{state}")
        if ledger.parent is not None:
            self._tell_parent(ledger, ledger.parent)

    def _tell_parent(self, ledger: Ledger, waiting: Parent) -> None:
        parent = self.runs[waiting.run_id]
        # A parent that has let go of the child does not want to know.
        if parent.children.get(waiting.position) != ledger.id:
            return
        del parent.children[waiting.position]
        if ledger.result is not None:
            self._follow(parent, waiting.successor, ledger.result)
        else:
            self._send(parent, waiting.fail)

    def _cancel_children(self, ledger: Ledger, scope: Scope | None) -> None:
        for position, child in list(ledger.children.items()):
            if scope is None or scope.covers(position):
                del ledger.children[position]
                self.cancel(self.runs[child])

    # -- an attempt begins and ends

    def start(self, ledger: Ledger, message: Message) -> None:
        """Note that an attempt is under way."""
        record = ledger.stages[message.send.position]
        record.state, record.attempts = "running", message.number
        record.started_at_ms = self._clock.now_ms()
        record.wait_ms = record.started_at_ms - record.visible_at_ms
        self.journal.tell_of(ledger, "stage.started", message)

    def commit(
        self, ledger: Ledger, message: Message, outcome: Outcome, cause: BaseException | None
    ) -> None:
        """Carry out how an attempt ended; `cause` is the exception behind it, for people."""
        position = message.send.position
        ledger.pending.pop(position, None)
        record = ledger.stages[position]
        record.run_ms = self._clock.now_ms() - record.started_at_ms
        match outcome:
            case Done():
                self._done(ledger, message, outcome)
            case RetryAt() | Snoozed():
                self._again(ledger, message, outcome)
            case Dead():
                self._dead(ledger, message, outcome, cause)
            case _:
                record.state = "cancelled"

    def _done(self, ledger: Ledger, message: Message, done: Done) -> None:
        position = message.send.position
        late = message.send.stage == TIMER_STAGE and not self._close_wait(ledger, position)
        if late or ledger.state in (RunState.CANCELLED, RunState.COMPLETED):
            ledger.stages[position].state = "refused"
            self.journal.tell_of(ledger, "stage.refused", message)
            return
        ledger.stages[position].state = "done"
        ledger.outputs[position] = done.result
        self.journal.tell_of(ledger, "stage.completed", message)
        leads_on = ledger.leads_on(position)
        self.apply(ledger, (e for e in done.edges if leads_on or isinstance(e, Undo)))
        if position.startswith("~"):
            self._undo_next(ledger)

    def _again(self, ledger: Ledger, message: Message, outcome: RetryAt | Snoozed) -> None:
        if isinstance(outcome, RetryAt):
            error = outcome.error
            self.journal.tell_of(
                ledger, "stage.retried", message, error=error.type, message=error.message
            )
            message.number += 1
        else:
            self.journal.tell_of(ledger, "stage.snoozed", message)
        message.token = 0
        self._return(ledger, message, outcome.delay_ms)

    def stalled(self, ledger: Ledger, message: Message, returns_in_ms: int) -> None:
        """Take back a message whose worker died: no attempt is charged."""
        message.stalls += 1
        message.token = 0
        ledger.pending.pop(message.send.position, None)
        self.journal.tell_of(ledger, "stage.stalled", message)
        self._return(ledger, message, returns_in_ms)

    def _return(self, ledger: Ledger, message: Message, in_ms: int) -> None:
        if ledger.leads_on(message.send.position):
            self._put(ledger, message, self._clock.now_ms() + in_ms)
        else:
            ledger.stages[message.send.position].state = "cancelled"

    def _dead(
        self, ledger: Ledger, message: Message, dead: Dead, cause: BaseException | None
    ) -> None:
        position, record = message.send.position, ledger.stages[message.send.position]
        record.state = "dead"
        if message.send.stage == TIMER_STAGE and not self._close_wait(ledger, position):
            return
        if ledger.leads_on(position):
            edges = caught(ledger.plan, position, dead.error)
            if edges is not None:
                record.state = "caught"
                self.journal.tell_of(ledger, "stage.caught", message, reason=dead.reason)
                self.apply(ledger, edges)
                return
        elif ledger.is_closed(position) or ledger.state in (RunState.CANCELLED, RunState.COMPLETED):
            return  # nobody waits for it any more
        self._bury(ledger, message, dead)
        if position.startswith("~"):
            self._undo_next(ledger)
        elif ledger.state is RunState.RUNNING:
            self._fail(ledger, cause)

    def _bury(self, ledger: Ledger, message: Message, dead: Dead) -> None:
        send, error = message.send, dead.error
        ledger.letters.append(
            DeadLetter(send.stage, send.position, dead.reason, message.number, error, send.input)
        )
        self.journal.tell_of(
            ledger,
            "stage.died",
            message,
            reason=dead.reason,
            error=error.type,
            message=error.message,
        )

    def _fail(self, ledger: Ledger, cause: BaseException | None) -> None:
        ledger.cause = cause
        if ledger.undos:
            self._undo(ledger, RunState.FAILED)
        else:
            self._end(ledger, RunState.FAILED)

    def _undo(self, ledger: Ledger, ends: RunState) -> None:
        ledger.state, ledger.ends = RunState.UNDOING, ends
        ledger.drop()
        self._cancel_children(ledger, None)
        self.journal.tell(ledger, "run.undoing")
        self._undo_next(ledger)

    def _undo_next(self, ledger: Ledger) -> None:
        if ledger.undos:
            undo = ledger.undos.pop()
            self._send(
                ledger, Send(undo.position, undo.stage, undo.queue, undo.priority, undo.input)
            )
        elif ledger.state is RunState.UNDOING:
            self._end(ledger, ledger.ends)

    # -- edges

    def apply(self, ledger: Ledger, edges: Iterable[Edge]) -> None:  # noqa: C901 - one per edge
        """Carry out what follows."""
        for edge in edges:
            match edge:
                case Send():
                    self._send(ledger, edge)
                case Arrive():
                    self._arrive(ledger, edge)
                case OpenJoin():
                    ledger.joins[edge.join] = Join(edge, edge.members)
                case OpenEach():
                    ledger.joins[edge.join.join] = Join(edge.join, edge.join.members)
                    ledger.eaches[edge.join.join] = Spread.of(edge)
                    self._feed(ledger, edge.join.join)
                case Extend():
                    self._extend(ledger, edge)
                case Wait():
                    self._wait(ledger, edge)
                case StartChild():
                    self._start_child(ledger, edge)
                case Undo():
                    self._remember(ledger, edge)
                case End():
                    ledger.result = edge.result
                    self._end(ledger, RunState.COMPLETED)

    def _send(self, ledger: Ledger, send: Send) -> None:
        now_ms = self._clock.now_ms()
        due_at_ms = max(send.due_at_ms or now_ms + send.delay_ms, now_ms)
        ledger.stages[send.position] = StageRecord(send.stage, visible_at_ms=due_at_ms)
        self._put(ledger, Message(ledger.id, send, due_at_ms), due_at_ms)

    def _follow(self, ledger: Ledger, first: First, value: bytes) -> None:
        self._send(ledger, Send(first.position, first.stage, first.queue, first.priority, value))

    def _put(self, ledger: Ledger, message: Message, due_at_ms: int) -> None:
        message.visible_at_ms = due_at_ms
        record = ledger.stages[message.send.position]
        record.state, record.visible_at_ms = "waiting", due_at_ms
        ledger.pending[message.send.position] = message
        self._agenda.add(message, due_at_ms)

    def _arrive(self, ledger: Ledger, edge: Arrive) -> None:
        join = ledger.joins.get(edge.join)
        if join is None or not join.arrive(edge.member, edge.result, failed=edge.failed):
            return
        spread = ledger.eaches.get(edge.join)
        if spread is not None:
            spread.under_way -= 1
            self._feed(ledger, edge.join)
        self._go_on(ledger, edge.join, join)

    def _go_on(self, ledger: Ledger, at: str, join: Join) -> None:
        opened = join.opened
        if not (join.satisfied or join.hopeless):
            return
        del ledger.joins[at]
        ledger.eaches.pop(at, None)
        scope = Scope.of(opened)
        if scope is not None:
            ledger.closed.append(scope)
            ledger.drop(scope)
            self._cancel_children(ledger, scope)
        if join.satisfied:
            after = First(opened.position, opened.stage, opened.queue, opened.priority)
            self._follow(ledger, after, join.value())
        elif opened.fail is not None:
            self._send(ledger, opened.fail)

    def _feed(self, ledger: Ledger, at: str) -> None:
        for send in ledger.eaches[at].sends():
            self._send(ledger, send)

    def _extend(self, ledger: Ledger, edge: Extend) -> None:
        spread, join = ledger.eaches.get(edge.join), ledger.joins.get(edge.join)
        if spread is None or join is None:
            return
        spread.extend(edge.items, edge.more)
        if edge.more is None:
            join.members = spread.read
        self._feed(ledger, edge.join)
        self._go_on(ledger, edge.join, join)

    def _wait(self, ledger: Ledger, edge: Wait) -> None:
        early = ledger.signals.get(edge.name)
        if early:
            self._follow(ledger, edge.successor, early.popleft())
            return
        self.journal.tell(ledger, "wait.opened", position=edge.wait, signal=edge.name)
        ledger.waits[edge.wait] = edge
        if edge.timer is not None:
            self._send(ledger, edge.timer)

    def _close_wait(self, ledger: Ledger, position: str) -> bool:
        timer = ledger.pending.pop(position, None)
        if timer is not None:
            timer.dropped = True
        return ledger.waits.pop(position, None) is not None

    def _start_child(self, ledger: Ledger, edge: StartChild) -> None:
        if ledger.state is not RunState.RUNNING:
            return  # a parent that has ended has no children
        child = Ledger(
            self._new_id(),
            edge.pipeline,
            self._plan_of(edge.plan),
            ledger.tenant,
            None,
            self._clock.now_ms(),
            parent=Parent(ledger.id, edge.child, edge.successor, edge.fail),
        )
        ledger.children[edge.child] = child.id
        self.begin(child, edge.edges)

    def _remember(self, ledger: Ledger, undo: Undo) -> None:
        """Note what takes a stage back; in a run that has failed already, send it at once."""
        ledger.undos.append(undo)
        if ledger.state is RunState.FAILED:
            self._undo_next(ledger)
