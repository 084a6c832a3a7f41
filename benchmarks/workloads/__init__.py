"""Actors and sending functions of each peer; the same functions, under the same names, in each."""
