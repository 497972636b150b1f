"""Noise classification from statistics of pixels and tokens: posterior and conformal p-value."""
