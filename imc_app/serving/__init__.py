"""The imc graph behind the LangGraph server: what it may read, whom it answers, what it sends."""
