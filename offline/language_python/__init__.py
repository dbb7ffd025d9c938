"""The language host: tells the engine what a Pulumi program in Python needs, and runs it."""

VERSION = "3.256.0"
