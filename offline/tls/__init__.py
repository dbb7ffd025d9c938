"""The tls provider: private keys, and certificates that they sign themselves, made once and kept in the state."""

VERSION = "5.6.2"
