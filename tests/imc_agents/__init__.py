"""Tests of the language side."""
