"""`imc step`: its commands, and what they print."""
