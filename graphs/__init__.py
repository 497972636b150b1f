"""The LangGraph graphs: `sms` and `imc`."""
