"""The verbs: `python3 -m operate VERB`, which the Makefile's targets call. Standard library only."""
