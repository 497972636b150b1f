"""The harder half: noise that PDC was not fitted on."""
