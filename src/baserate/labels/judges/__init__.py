"""Machines that label: one Protocol, a local text classifier, an LLM behind an endpoint."""
