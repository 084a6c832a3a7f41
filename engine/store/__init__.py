"""The store: the only room that speaks Redis. Keys, scripts, and a wrapper for each script."""
