"""`callboard doctor`: is everything fit for work, and what to change."""

from __future__ import annotations

import typer

from engine.bootstrap import Engine
from engine.cli.exits import Exit
from engine.cli.installation import settings_here
from engine.cli.output import AsJson, print_json, screen
from engine.config import Settings
from engine.control.doctor import Finding, Grade, examine, examine_work, unreachable, worst
from engine.errors import StoreError
from engine.store.server import look_at

_COLOURS = {Grade.OK: "green", Grade.WARN: "yellow", Grade.FAIL: "red"}


def doctor(as_json: AsJson = False) -> None:
    """Look at server, workers, queues and scheduler; exits with 1 if one is unfit for work."""
    settings = settings_here()
    findings = _findings(settings)
    grade = worst(findings)
    if as_json:
        print_json({"grade": grade, "store": settings.shown_address(), "findings": findings})
    else:
        out = screen()
        out.print(f"store: {settings.shown_address()}", markup=False)
        for finding in findings:
            mark = f"[{_COLOURS[finding.grade]}]{finding.grade:4}[/]"
            out.print(mark, f"{finding.what}:", finding.found, markup=True)
            if finding.change:
                out.print(f"     → {finding.change}", markup=False)
    if grade is Grade.FAIL:
        raise typer.Exit(Exit.FAILED)


def _findings(settings: Settings) -> list[Finding]:
    address = settings.redis_address() or ""  # never empty: `settings_here` found or refused it
    try:
        facts = look_at(address, namespace=settings.namespace, timeout_ms=settings.redis_timeout_ms)
        findings = examine(facts)
        if worst(findings) is Grade.FAIL:
            return findings  # our own scripts would refuse such a server
        return [*findings, *examine_work(Engine(settings).store)]
    except StoreError as error:
        return [unreachable(error)]
