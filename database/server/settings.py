"""PostgreSQL's settings, sized from the memory the container may use."""

from __future__ import annotations

from typing import NamedTuple

# What the sizing counts on, in MiB: this program, the server's own processes and its fixed shared memory; a connected
# session before it works; and the autovacuum workers that may each use their whole allowance.
FIXED_MB = 24
SESSION_MB = 2
AUTOVACUUM_WORKERS = 2
SUPERUSER_CONNECTIONS = 3
RESERVED_CONNECTIONS = 5


class Sizing(NamedTuple):
    """The settings that depend on memory; sizes in MiB."""

    max_connections: int
    shared_buffers: int
    effective_cache_size: int
    maintenance_work_mem: int
    work_mem: int
    workers_per_gather: int

    def demand(self) -> int:
        """Return MiB in use with every connection open, half of them sorting, and every autovacuum worker busy."""
        sessions = self.max_connections * SESSION_MB + self.max_connections // 2 * self.work_mem
        return FIXED_MB + self.shared_buffers + sessions + AUTOVACUUM_WORKERS * self.maintenance_work_mem


def between(lowest: int, value: int, highest: int) -> int:
    """Return the value, moved into the range."""
    return max(lowest, min(value, highest))


def size(memory_mb: int) -> Sizing:
    """Return the settings for a limit in MiB (at least 128) such that `demand()` stays within it."""
    max_connections = between(20, memory_mb // 6, 200)
    shared_buffers = between(16, memory_mb // 4 if memory_mb >= 256 else memory_mb // 6, 16_384)
    maintenance = between(4, memory_mb // 16, 1024)
    rest = memory_mb - FIXED_MB - shared_buffers - max_connections * SESSION_MB - AUTOVACUUM_WORKERS * maintenance
    return Sizing(
        max_connections=max_connections,
        shared_buffers=shared_buffers,
        effective_cache_size=max(shared_buffers, memory_mb * 3 // 5),
        maintenance_work_mem=maintenance,
        work_mem=between(1, rest // (max_connections // 2), 128),
        workers_per_gather=2 if memory_mb >= 512 else 0,
    )


def decide(sizing: Sizing, *, data: str, log: str, sockets: str) -> dict[str, str]:
    """Return every setting the server gets that is not PostgreSQL's default."""
    return {
        "listen_addresses": "*",
        "port": "5432",
        "unix_socket_directories": sockets,
        "unix_socket_permissions": "0700",
        "hba_file": f"{data}/pg_hba.conf",
        "authentication_timeout": "10s",
        "password_encryption": "scram-sha-256",
        "ssl": "off",
        # One description: settings come from here, and a session cannot leave others behind.
        "allow_alter_system": "off",
        "max_connections": str(sizing.max_connections),
        "superuser_reserved_connections": str(SUPERUSER_CONNECTIONS),
        "reserved_connections": str(RESERVED_CONNECTIONS),
        "tcp_keepalives_idle": "60s",
        "tcp_keepalives_interval": "10s",
        "tcp_keepalives_count": "3",
        "client_connection_check_interval": "10s",
        "shared_buffers": f"{sizing.shared_buffers}MB",
        "effective_cache_size": f"{sizing.effective_cache_size}MB",
        "maintenance_work_mem": f"{sizing.maintenance_work_mem}MB",
        "work_mem": f"{sizing.work_mem}MB",
        "autovacuum_max_workers": str(AUTOVACUUM_WORKERS),
        "max_parallel_workers_per_gather": str(sizing.workers_per_gather),
        # Parallel queries would otherwise need a /dev/shm larger than a container's 64 MB (docs/adr/0041).
        "dynamic_shared_memory_type": "sysv",
        # A huge page beyond a container's allowance kills the server instead of failing the allocation.
        "huge_pages": "off",
        "jit": "off",
        # No subscriptions here, so no launcher for them: one process less.
        "max_logical_replication_workers": "0",
        "wal_compression": "lz4",
        "default_toast_compression": "lz4",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "logging_collector": "on",
        "log_destination": "jsonlog",
        "log_directory": log,
        "log_filename": "%Y%m%d-%H%M%S.log",
        "log_file_mode": "0600",
        "log_rotation_size": "1MB",
        "log_rotation_age": "0",
        # What reaches the output before the collector runs: `jsonlog.early` reads this form.
        "log_line_prefix": "%m [%p] ",
        "log_statement": "none",
        "log_min_duration_statement": "2s",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
        "log_lock_waits": "on",
        "log_temp_files": "10MB",
    }


def render(settings: dict[str, str]) -> str:
    """Return the settings as the text of postgresql.conf."""
    lines = ["# Written at every start of the container: a change made here is lost."]
    for name, value in settings.items():
        quoted = value.replace("\\", "\\\\").replace("'", "''")
        lines.append(f"{name} = '{quoted}'")
    return "\n".join(lines) + "\n"
