"""Workflow: what stages, pipelines, plans and runs are, as pure rules.

Owns: definitions, composition, compilation, transitions and policies. Must not: know Redis,
Dramatiq, threads or sockets; the only way out is `engine.current`.
"""
