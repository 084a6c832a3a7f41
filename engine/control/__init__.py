"""What operators ask for: looking, acting, checking, and keeping processes alive.

Inspecting and operating work on a `Store`; CLI, API and dashboard all call here. Must not:
print, or know who asks.
"""
