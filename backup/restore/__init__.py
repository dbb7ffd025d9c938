"""Restores: a file is loaded beside the live database, verified, swapped in and, where asked, taken back."""
