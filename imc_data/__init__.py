"""The public data sets and a user's own, read into checked items; answers matched strictly."""
