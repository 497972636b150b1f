"""The language side: a chat model over a local MLLM, the four agents, their safeguards."""
