"""Makes this folder importable, so that tests share `mutations` and `optimizer_probes`."""
