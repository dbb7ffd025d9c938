"""The Kubernetes provider: any kind that a cluster serves, applied server-side and waited for."""
