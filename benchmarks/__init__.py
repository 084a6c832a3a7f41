"""Benchmarks against stock Dramatiq: `python -m benchmarks`."""
