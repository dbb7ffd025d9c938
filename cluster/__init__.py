"""A real cluster of one node as plain processes of this machine: for the tests, and for trying stacks at home."""
