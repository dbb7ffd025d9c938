"""Who may connect, from where and how: the text of pg_hba.conf."""

from __future__ import annotations

SUPERUSER = "postgres"

# Addresses that are not routed on the internet. `samenet` adds the container's own networks, whatever their numbers.
PRIVATE = (
    "samenet",
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "::1/128",
    "fc00::/7",
)


def render() -> str:
    """Return pg_hba.conf: the superuser by peer on the socket only, everyone else by SCRAM from a private network.

    Without TLS the server is for a private network, so an address outside one finds no line that admits it.
    """
    lines = [
        "# Written at every start of the container: a change made here is lost.",
        f"local all {SUPERUSER} peer",
        "local all all reject",
        f"host all {SUPERUSER} all reject",
        *(f"hostnossl all all {network} scram-sha-256" for network in PRIVATE),
        "host all all all reject",
    ]
    return "\n".join(lines) + "\n"
