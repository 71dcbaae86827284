"""Estimates to releases: gates, decisions, the immutable bundle, the report."""
