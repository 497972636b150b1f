"""Parts of `benchmarks/gpu_check.py`: models of 7B size, times, memory, agreement, and the page."""
