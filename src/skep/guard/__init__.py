"""Behaviour profiles of processes: learn, watch, explain. Reads the streams like any other user."""
