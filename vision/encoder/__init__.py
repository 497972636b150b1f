"""The model's vision tower: pixel inputs, structure, taps, token order and token statistics."""
