"""Robustness, measured: data sets, methods, metrics, result store, report."""
