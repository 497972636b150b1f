"""The pixel stage: a closed-form estimate of the clean picture, before the encoder."""
