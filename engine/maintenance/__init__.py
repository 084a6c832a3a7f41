"""Maintenance: the work that keeps the store small and watched.

Owns: the duties, one a file, and the scheduler that has them done. Must not: carry anything that
safety depends on; without a scheduler nothing is lost or stuck, only unpruned and unsampled.

Workers do the duties: `duties.register(engine)` gives an engine their stages.
`scheduler.run(engine)` is the process that begins them; it alone loads APScheduler.
"""
