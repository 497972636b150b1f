"""The feature stage: closed-form maps of a tap's tokens."""
