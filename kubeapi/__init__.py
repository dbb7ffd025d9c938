"""A small client of the Kubernetes API: who may speak to which cluster, and what to ask it."""
