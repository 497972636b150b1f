"""The command: what it refuses, what it accepts, what it prints."""
