"""The environment of a served process: nothing that traces, counts or asks for versions is on."""

from __future__ import annotations

from collections.abc import MutableMapping

IMAGE_ROOT, TOKEN, ORIGINS = "IMC_IMAGE_ROOT", "IMC_TOKEN", "IMC_ORIGINS"
HOSTS = "IMC_HOSTS"

FOREIGN_PREFIXES = (
    "CUSTOM_LSD_",
    "DD_",
    "LANGCHAIN_",
    "LANGGRAPH_CLOUD_",
    "LANGGRAPH_LOGS_",
    "LANGGRAPH_METRICS_",
    "LANGSMITH_",
    "LSD_",
    "OTEL_",
)
"""Variables of services that would be sent runs, numbers or keys."""

OFF = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "LANGCHAIN_TRACING": "false",
    "LANGCHAIN_TRACING_V2": "false",
    "LANGGRAPH_CLI_NO_ANALYTICS": "1",
    "LANGGRAPH_LOGS_ENABLED": "false",
    "LANGGRAPH_METRICS_ENABLED": "false",
    "LANGGRAPH_NO_VERSION_CHECK": "true",
    "LANGSMITH_OTEL_ENABLED": "false",
    "LANGSMITH_TRACING": "false",
    "LANGSMITH_TRACING_V2": "false",
    "OTEL_ENABLED": "false",
    "OTEL_SDK_DISABLED": "true",
}
"""What is set instead, whatever the environment says."""

_OF_THE_SERVER = ("LANGSMITH_LANGGRAPH_API_VARIANT",)
"""What the LangGraph server sets for itself before it imports the graph."""


def keep_on_this_machine(environment: MutableMapping[str, str]) -> None:
    """Take out what would send questions, images or counts elsewhere, and turn it off.

    Must precede the first import of langchain, langsmith or langgraph: they read it then.
    """
    for name in [*environment]:
        if name.startswith(FOREIGN_PREFIXES) and name not in _OF_THE_SERVER:
            del environment[name]
    environment.update(OFF)
    environment.setdefault("LANGGRAPH_STRICT_MSGPACK", "true")
