"""The feature stage: closed-form maps that correct the tokens at a tap."""
