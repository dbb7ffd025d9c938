"""The gateway's process 1: runs Nginx, keeps what it was told, and finds the addresses behind its peers' names."""
