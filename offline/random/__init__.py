"""The random provider: values that are drawn once and kept in the state."""

VERSION = "4.21.1"
