"""Everything that fits a prototype bank: references, noisy draws, fits, finished steps."""
