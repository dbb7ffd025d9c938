"""The verbs for stacks on Kubernetes. All but `platform` imports installed packages, and is imported after them."""
