"""Prepares a machine for a stack: standard library only, so that it runs before anything is installed."""
