"""The noises, image and text, with their severities."""
