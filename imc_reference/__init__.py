"""The embedded default model: phantoms, training recipe, weights, prototype bank."""
