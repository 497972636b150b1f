"""The nodes of the graphs: what each reads from state, does, and writes back."""
