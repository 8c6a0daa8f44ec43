"""The built-in model's own process: `python -P llm/providers/local_child.py`. Knows nothing of Django and of the gateway's secrets.

In, one JSON line on stdin: {"weights": path, "alias": name, "api_key": key}. The line is followed by nothing; when stdin closes, the
parent is gone or wants us gone, and we go at once. Out, one JSON line on stdout: {"url": "http://127.0.0.1:<port>"} or {"error": why}.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

CONTEXT = 4096  # shared by the slots: 2048 tokens each
SLOTS = 2
NICE = 10  # the gateway's own work comes first
SOCKET_SECONDS = 120


def parameters(xllamacpp: Any, order: dict[str, str]) -> Any:
    """The server's parameters: loopback only, a port of the system's choice, a key, and every door shut that we do not use."""
    params = xllamacpp.CommonParams()
    params.model.path = order["weights"]
    params.model_alias = {order["alias"]}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [order["api_key"]]
    params.cors_origins = params.cors_methods = params.cors_headers = ""
    params.cors_credentials = False
    params.ui = params.ui_mcp_proxy = False
    params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = False
    params.offline = True
    params.n_ctx = CONTEXT
    params.n_parallel = SLOTS
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = min(2, os.cpu_count() or 1)
    params.use_jinja = True
    # A prompt cache is shared by all callers: its hits would tell one what another has asked.
    params.cache_prompt = False
    params.cache_ram_mib = 0
    params.timeout_read = params.timeout_write = SOCKET_SECONDS
    params.verbosity = -1
    return params


def die_with_parent() -> None:
    """Block until stdin closes, which the system does even for a parent killed with -9; then leave without goodbye."""
    while sys.stdin.buffer.read(1):
        pass
    os._exit(0)


def main() -> None:
    order = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=die_with_parent, daemon=True).start()
    if hasattr(os, "nice"):
        os.nice(NICE)
    try:
        import xllamacpp

        server = xllamacpp.Server(parameters(xllamacpp, order))  # returns when the weights are loaded and the port is open
        answer = {"url": server.listening_address}
    except Exception as error:  # whatever the native library raises is the parent's to report
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
    if "error" in answer:
        os._exit(1)
    threading.Event().wait()


if __name__ == "__main__":
    main()
