"""Noise from statistics of pixels and tokens: posterior over kinds, conformal gate."""
