"""Interactions to samples: which units the judge and people look at, with what probability."""
