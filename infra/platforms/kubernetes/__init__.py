"""A Kubernetes cluster, in a namespace of the stack's own."""
