"""Building a prototype bank: references, noisy draws, fits, results of finished steps."""
