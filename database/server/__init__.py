"""PostgreSQL in a container: the server's PID 1, its roles, and the check of a managed one. Standard library only."""
