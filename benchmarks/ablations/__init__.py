"""Ablations of PDC: noisy conditions, changed halves, the rows of each table, and their figures."""
