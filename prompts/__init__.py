"""Role prompts as data, one folder per profile, and their loader."""
