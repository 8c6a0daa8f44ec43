"""The benchmark: TriForce beside the bare fake upstream, LiteLLM's proxy and Portkey's gateway, in one run. See docs/benchmark.md."""
