"""The studio: local web pages to ask, step, compare images, try noises and read benchmark runs."""
