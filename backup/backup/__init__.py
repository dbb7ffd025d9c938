"""Backups of the database that are proven to restore: made, listed, verified, kept and thinned out."""

VERSION = "1"
