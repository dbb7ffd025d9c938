"""NetworkPolicies as rules of the packet filter: decided by pure functions, applied in one step."""
