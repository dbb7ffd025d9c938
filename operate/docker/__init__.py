"""The verbs for stacks on Docker."""
