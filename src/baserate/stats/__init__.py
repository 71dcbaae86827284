"""Arithmetic on arrays: true on paper, with no computer. numpy and scipy only."""
