"""Tests of the image side."""
