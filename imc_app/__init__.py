"""What a person touches: the `imc` command."""
