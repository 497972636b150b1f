"""Tests, one folder per room, and the tiny models they share."""
