"""A Docker provider for machines that reach only package mirrors; answers as the official one, pulumi-docker 5.1.0."""
