"""One module per `imc` command."""
