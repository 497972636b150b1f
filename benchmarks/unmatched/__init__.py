"""The harder half: noise that a bank was not built with."""
