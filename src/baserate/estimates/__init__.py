"""Samples, labels and frame totals to estimates: rates with honest intervals."""
