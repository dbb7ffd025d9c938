"""What `pulumi up` needs where only package mirrors are reachable: the CLI and its plugins."""
