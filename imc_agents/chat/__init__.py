"""The chat model over a local MLLM: loading, prompts, decoding, scoring, structured output."""
