"""The image side: reading files, encoder features, prototypes, PDC."""
