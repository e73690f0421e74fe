"""Runs it."""
