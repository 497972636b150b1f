"""What each part of PDC is worth: the runs, banks and figures of `pdc_ablations.py`."""
