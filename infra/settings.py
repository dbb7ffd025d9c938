"""The stack's settings, read here alone; types, defaults and descriptions come from Pulumi.yaml."""

from __future__ import annotations

import difflib
import functools
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pulumi
import yaml
from pulumi.runtime.config import CONFIG, get_config_env, is_config_secret

from infra import values

PROJECT_FILE = Path(__file__).resolve().parent.parent / "Pulumi.yaml"
# The one in C, where PyYAML has it: every update reads the file, for 30 ms with the other one.
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
SECRETS = frozenset(
    {
        "backupDatabaseUrl",
        "backupIdentity",
        "backupPingUrl",
        "backupS3AccessKey",
        "backupS3SecretKey",
        "backupSmtpUrl",
        "backupWebhookUrl",
        "databaseOwnerUrl",
        "databaseUrl",
        "factorKey",
        "factorKeyFallbacks",
        "imageRegistryPassword",
        "metricsToken",
        "pitrS3AccessKey",
        "pitrS3SecretKey",
        "releaseKey",
        "restoreAdminUrl",
        "restoreLoaderUrl",
        "samlSpPrivateKey",
        "samlSpPrivateKeyOld",
        "secretKey",
        "secretKeyFallbacks",
        "tlsKey",
    }
)
"""Settings that are set with --secret; Pulumi's own mark for them allows no default, so each would have to be set."""

ONLY_ON = {
    "docker": frozenset({"backupFolder", "gatewayAddress", "gatewayPort", "restoreFolder"}),
    "kubernetes": frozenset(
        {
            "backupStorage",
            "databaseStorage",
            "gatewayParent",
            "gatewayReplicas",
            "imageRegistry",
            "imageRegistryPassword",
            "imageRegistryUser",
            "ingressAnnotations",
            "ingressClass",
            "kubeContext",
            "kubeconfig",
            "leaveSeconds",
            "maxReplicas",
            "nodePort",
            "pitrStorage",
            "restoreStorage",
            "serviceAnnotations",
            "serviceType",
            "storageClass",
            "tlsCertificate",
            "tlsIssuer",
            "tlsKey",
        }
    ),
}
"""Settings that mean something on one platform alone; anywhere else a value of one's own is refused."""

PITR_MEMORY = 192
"""The least that a database with an archive wants, in MiB."""

Value = TypeVar("Value")


class SettingsError(pulumi.RunError):
    """One or more settings that cannot be used, each with what it got, what it wanted and the command that mends it."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("the stack's settings cannot be used:\n" + "\n".join(f"  - {problem}" for problem in problems))


@dataclass(frozen=True)
class ConfiguredSecret:
    """A secret from the stack's configuration; its fingerprint is keyed, so that it tells nothing about the value."""

    value: str = field(repr=False)
    fingerprint: str


@dataclass(frozen=True)
class ManagedDatabase:
    """A PostgreSQL that somebody else runs: the app's and the owner's URL, and where it is."""

    url: ConfiguredSecret
    owner_url: ConfiguredSecret
    host: str
    port: int


@dataclass(frozen=True)
class Registry:
    """Where the cluster takes the images from: host, port and path, and who may push and pull."""

    address: str
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Tls:
    """How the Ingress ends TLS: with a certificate and its key, or with what an issuer of cert-manager makes."""

    certificate: str
    key: str = field(repr=False)
    issuer: str


@dataclass(frozen=True)
class Patience:
    """How long a migration waits for what, in seconds, and how often it tries a table that is locked."""

    lock_timeout: int
    lock_attempts: int
    statement_timeout: int
    lock_wait: int
    database_wait: int


@dataclass(frozen=True)
class Saml:
    """How people sign in through an identity provider; the texts are the app's own settings, by their names there."""

    idp_entity_id: str
    texts: Mapping[str, str]
    documents: Mapping[str, str]
    private_key: ConfiguredSecret | None
    private_key_old: ConfiguredSecret | None
    key_version: int
    metadata_url: str


@dataclass(frozen=True)
class Keys:
    """Keys of the app that are configured beside its own; without one, what is needed is generated."""

    secret_key_fallbacks: ConfiguredSecret | None
    factor_key: ConfiguredSecret | None
    factor_key_fallbacks: ConfiguredSecret | None


@dataclass(frozen=True)
class Generations:
    """The volume that the database is on, others that are kept, and which is filled with what before it is used."""

    active: str
    kept: tuple[str, ...]
    filled: str
    moment: str


@dataclass(frozen=True)
class Bucket:
    """A bucket that speaks S3, for copies of backups or for the archive; an empty endpoint is Amazon's own."""

    name: str
    endpoint: str
    region: str
    prefix: str
    authorities: str
    key_id: ConfiguredSecret
    secret: ConfiguredSecret


@dataclass(frozen=True)
class Pitr:
    """Whether the log is archived, where to, when base backups are made, for how long; queue in MiB, storage in GiB."""

    enabled: bool
    hour: int
    full_days: int
    diff_days: int
    keep_days: int
    queue_max: int
    storage: int
    bucket: Bucket | None


@dataclass(frozen=True)
class Backups:
    """When backups are made, where they are kept, how many of them, and who is told; storage in GiB, memory in MiB."""

    enabled: bool
    schedule: str
    drill_schedule: str
    timezone: str
    max_age_hours: int
    keep: Mapping[str, int]
    recipients: tuple[str, ...]
    identity: ConfiguredSecret | None
    folder: str
    storage: int
    memory: int
    cpus: str
    bucket: Bucket | None
    webhook_url: ConfiguredSecret | None
    ping_url: ConfiguredSecret | None
    smtp_url: ConfiguredSecret | None
    mail_to: tuple[str, ...]
    mail_from: str
    database_url: ConfiguredSecret | None


@dataclass(frozen=True)
class Restores:
    """What a restore stops and starts, how it goes, and where its queue is; storage in GiB, memory in MiB."""

    enabled: bool
    stop: tuple[str, ...]
    start: tuple[str, ...]
    order: str
    trust: str
    poll_interval: int
    stop_timeout: int
    stop_wait: int
    start_wait: int
    keep_previous: int
    extensions: tuple[str, ...]
    folder: str
    storage: int
    memory: int
    cpus: str
    admin_url: ConfiguredSecret | None
    loader_url: ConfiguredSecret | None


@dataclass(frozen=True)
class KubernetesSettings:
    """What only a stack on Kubernetes can set; storage in GiB."""

    registry: Registry
    kubeconfig: str
    context: str
    max_replicas: int
    gateway_replicas: int
    service_type: str
    node_port: int
    ingress_class: str
    ingress_annotations: Mapping[str, str]
    service_annotations: Mapping[str, str]
    gateway_parent: tuple[str, ...]
    tls: Tls
    database_storage: int
    storage_class: str
    leave_seconds: int


@dataclass(frozen=True)
class Settings:
    """Everything that a stack can set, checked; see Pulumi.yaml for what each one means."""

    platform: str
    environment: str
    site_url: str
    site_name: str
    gateway_address: str
    gateway_port: int
    trusted_proxies: tuple[str, ...]
    replicas: int
    web_workers: int
    web_threads: int
    web_memory: int
    web_cpus: str
    warm_paths: tuple[str, ...]
    ready_seconds: int
    drain_seconds: int
    release: str
    release_downgrade: bool
    keep_releases: int
    migration: Patience
    log_level: str
    debug: bool
    password_login_enabled: bool
    password_login_networks: tuple[str, ...]
    saml: Saml
    keys: Keys
    factor_key_version: int
    metrics_token: ConfiguredSecret | None
    psycopg: str
    sqlalchemy_engine_options: str
    managed_database: ManagedDatabase | None
    database_memory: int
    database_cpus: str
    database_password_version: int
    generations: Generations
    pitr: Pitr
    backups: Backups
    restores: Restores
    secret_key: ConfiguredSecret | None
    secret_key_version: int
    maintenance_message: str
    maintenance_contact_email: str
    maintenance_contact_label: str
    maintenance_contact_link: str
    docker_host: str
    base_image: str
    packages: str
    protect_data: bool
    kubernetes: KubernetesSettings

    @property
    def production(self) -> bool:
        """Whether development values are refused."""
        return self.environment == "production"


@functools.cache
def schema() -> Mapping[str, Mapping[str, Any]]:
    """Return the project's settings with type, default and description, as Pulumi.yaml declares them."""
    declared = yaml.load(PROJECT_FILE.read_text(encoding="utf-8"), LOADER)["config"]  # noqa: S506  either is a safe one
    return {key: entry for key, entry in declared.items() if ":" not in key}


def from_stack() -> Settings:
    """Read and check the settings of the stack being run; raise SettingsError naming every one that is wrong."""
    project = pulumi.get_project()
    everything = {**get_config_env(), **CONFIG.get()}
    given = {key.partition(":")[2]: value for key, value in everything.items() if key.startswith(f"{project}:")}
    in_clear = [
        key for key in sorted(SECRETS & given.keys()) if given[key] and not is_config_secret(f"{project}:{key}")
    ]
    if in_clear:
        raise SettingsError([f"{key}: stored in clear text. Store it encrypted: {setting(key)}" for key in in_clear])
    return read(given)


def setting(key: str) -> str:
    """Return the command that sets a setting; a secret is typed or piped, so that no argument list shows it."""
    return f"pulumi config set --secret {key}" if key in SECRETS else f"pulumi config set {key} VALUE"


def bucket_keys(of: str) -> tuple[str, ...]:
    """Return the settings of a bucket, the backups' or the archive's, that go together."""
    return tuple(f"{of}S3{part}" for part in ("Bucket", "AccessKey", "SecretKey"))


def read(given: Mapping[str, str]) -> Settings:
    """Turn configuration values, as text, into settings; raise SettingsError naming every one that is wrong."""
    reader = Reader(given)
    settings = Settings(
        platform=reader.one_of("platform", "docker", "kubernetes"),
        environment=reader.one_of("environment", "development", "production"),
        site_url=reader.checked("siteUrl", values.url_of_a_site),
        site_name=reader.checked("siteName", values.one_line),
        gateway_address=reader.checked("gatewayAddress", values.address),
        gateway_port=reader.whole("gatewayPort", 1, 65535),
        trusted_proxies=reader.each("trustedProxies", values.network),
        replicas=reader.whole("replicas", 1, 20),
        web_workers=reader.whole("webWorkers", 1, 64),
        web_threads=reader.whole("webThreads", 1, 64),
        web_memory=reader.whole("webMemory", 128, 65536),
        web_cpus=reader.checked("webCpus", values.processors),
        warm_paths=reader.each("warmPaths", values.url_path),
        ready_seconds=reader.whole("readySeconds", 5, 3600),
        drain_seconds=reader.whole("drainSeconds", 1, 3600),
        release=reader.checked("release", values.release_or_nothing),
        release_downgrade=reader.truth("releaseDowngrade"),
        keep_releases=reader.whole("keepReleases", 1, 50),
        migration=Patience(
            lock_timeout=reader.whole("migrationLockTimeout", 1, 3600),
            lock_attempts=reader.whole("migrationLockAttempts", 1, 100),
            statement_timeout=reader.whole("migrationStatementTimeout", 1, 86400),
            lock_wait=reader.whole("migrationLockWait", 0, 86400),
            database_wait=reader.whole("migrationDatabaseWait", 0, 3600),
        ),
        log_level=reader.one_of("logLevel", "debug", "info", "warning", "error"),
        debug=reader.truth("debug"),
        password_login_enabled=reader.truth("passwordLoginEnabled"),
        password_login_networks=reader.each("passwordLoginNetworks", values.network),
        saml=reader.saml(),
        keys=reader.keys(),
        factor_key_version=reader.whole("factorKeyVersion", 1, 1000000),
        metrics_token=reader.secret("metricsToken", values.long_secret),
        psycopg=reader.one_of("psycopg", "binary", "c"),
        sqlalchemy_engine_options=reader.checked("sqlalchemyEngineOptions", values.json_object),
        managed_database=reader.managed_database(),
        database_memory=reader.whole("databaseMemory", 128, 1048576),
        database_cpus=reader.checked("databaseCpus", values.processors),
        database_password_version=reader.whole("databasePasswordVersion", 1, 1000000),
        generations=reader.generations(),
        pitr=reader.pitr(),
        backups=reader.backups(),
        restores=reader.restores(),
        secret_key=reader.secret("secretKey", values.long_secret),
        secret_key_version=reader.whole("secretKeyVersion", 1, 1000000),
        maintenance_message=reader.text("maintenanceMessage"),
        maintenance_contact_email=reader.checked("maintenanceContactEmail", values.mail_address),
        maintenance_contact_label=reader.text("maintenanceContactLabel"),
        maintenance_contact_link=reader.checked("maintenanceContactLink", values.contact_link),
        docker_host=reader.checked("dockerHost", values.docker_host),
        base_image=reader.checked("baseImage", values.image_reference),
        packages=reader.checked("packages", values.package_record),
        protect_data=reader.truth("protectData"),
        kubernetes=reader.kubernetes(),
    )
    reader.refuse_of_another_platform(settings.platform)
    if settings.platform == "kubernetes":
        reader.refuse_what_does_not_go_together(settings)
    reader.refuse_in_production(settings)
    reader.finish()
    return settings


class Reader:
    """Reads values one by one and keeps the problems, so that one run names all of them."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self.given = given
        self.problems: list[str] = []
        for key in sorted(set(given) - set(schema())):
            close = difflib.get_close_matches(key, schema(), n=1)
            meant = f"; did you mean {close[0]}?" if close else ""
            self.problems.append(f"{key}: there is no such setting{meant} Remove it: pulumi config rm {key}")

    def problem(self, key: str, wanted: str, got: object = None) -> None:
        """Keep a problem of one setting; a secret's value is not repeated."""
        shown = "a value that does not fit" if key in SECRETS else repr(got)
        text = f"{key}: got {shown}, wanted {wanted}. Set it: {setting(key)}"
        # Two may go by one setting.
        self.problems += [] if text in self.problems else [text]

    def raw(self, key: str) -> Any:
        """Return the value as its declared type, or the default; wrong types become a problem and the default."""
        entry = schema()[key]
        text = self.given.get(key)
        if text is None:
            return entry["default"]
        kind = entry["type"]
        if kind == "string":
            # What is piped into `pulumi config set` ends with the newline of the command that made it.
            return text.rstrip("\r\n")
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        wanted: type = {"integer": int, "boolean": bool, "array": list}[kind]
        if type(value) is not wanted:
            self.problem(key, {"integer": "a whole number", "boolean": "true or false", "array": "a list"}[kind], text)
            return entry["default"]
        return value

    def text(self, key: str) -> str:
        """Return a text as it is."""
        return str(self.raw(key))

    def truth(self, key: str) -> bool:
        """Return true or false."""
        return bool(self.raw(key))

    def whole(self, key: str, least: int, most: int) -> int:
        """Return a whole number within bounds."""
        value = int(self.raw(key))
        if not least <= value <= most:
            self.problem(key, f"a whole number from {least} to {most}", value)
        return value

    def one_of(self, key: str, *allowed: str) -> str:
        """Return one of the allowed words."""
        value = self.text(key)
        if value not in allowed:
            self.problem(key, " or ".join(allowed), value)
        return value

    def checked(self, key: str, check: Callable[[str], str]) -> str:
        """Return a text that a check has passed; the check raises ValueError saying what it wanted."""
        value = self.text(key)
        try:
            return check(value)
        except ValueError as wanted:
            self.problem(key, str(wanted), value)
            return value

    def each(self, key: str, check: Callable[[str], str]) -> tuple[str, ...]:
        """Return a list of texts, each passed by a check."""
        checked: list[str] = []
        for value in self.raw(key):
            try:
                checked.append(check(str(value)))
            except ValueError as wanted:
                self.problem(key, f"a list in which each is {wanted}", value)
        return tuple(checked)

    def secret(self, key: str, check: Callable[[str], str]) -> ConfiguredSecret | None:
        """Return a configured secret with its keyed fingerprint, or None where it is not set."""
        value = self.text(key)
        if not value:
            return None
        try:
            value = check(value)
        except ValueError as wanted:
            self.problem(key, str(wanted))
        fingerprint_key = self.text("releaseKey")
        if not re.fullmatch(r"[0-9a-f]{32,}", fingerprint_key):
            self.problems.append(
                f"releaseKey: not set, or shorter than 32 hex digits, though {key} is set; a release id holds a "
                "fingerprint of each configured secret, which this key keeps from being guessed. "
                "Set it: openssl rand -hex 32 | pulumi config set --secret releaseKey"
            )
            return None
        digest = hmac.new(bytes.fromhex(fingerprint_key[: len(fingerprint_key) // 2 * 2]), digestmod=hashlib.sha256)
        digest.update(f"{key}\0{value}".encode())
        return ConfiguredSecret(value, digest.hexdigest()[:16])

    def managed_database(self) -> ManagedDatabase | None:
        """Return the managed database, or None where this stack runs its own; both URLs go together."""
        url = self.secret("databaseUrl", values.database_url)
        owner = self.secret("databaseOwnerUrl", values.database_url)
        both = [bool(self.text("databaseUrl")), bool(self.text("databaseOwnerUrl"))]
        if any(both) and not all(both):
            missing = "databaseOwnerUrl" if both[0] else "databaseUrl"
            self.problems.append(
                f"{missing}: a managed database needs both databaseUrl (the app's role, no DDL) and databaseOwnerUrl "
                f"(the owner's, for migrations). Set it: {setting(missing)}"
            )
        if url is None or owner is None:
            return None
        place = urlsplit(self.text("databaseUrl"))
        return ManagedDatabase(url, owner, place.hostname or "", values.port_or_none(place) or 5432)

    def generations(self) -> Generations:
        """Return the volumes of this stack's own database; what is filled is there, and a managed one has none."""
        filled, _, moment = self.checked("databaseRestore", values.database_restore_or_nothing).partition("@")
        found = Generations(
            active=self.checked("databaseVolume", values.database_volume),
            kept=tuple(self.checked("databaseVolumesKept", values.database_volumes).split()),
            filled=filled,
            moment=moment,
        )
        if filled and filled not in (found.active, *found.kept):
            self.problems.append(
                f"databaseRestore: fills {filled}, which neither databaseVolume nor databaseVolumesKept has. "
                "Remove it: pulumi config rm databaseRestore"
            )
        return found

    def pitr(self) -> Pitr:
        """Return how the log is archived; a managed database is its keeper's affair, and a restore needs an archive."""
        found = Pitr(
            enabled=self.truth("pitr"),
            hour=self.whole("pitrHour", 0, 23),
            full_days=self.whole("pitrFullDays", 1, 366),
            diff_days=self.whole("pitrDiffDays", 0, 366),
            keep_days=self.whole("pitrKeepDays", 1, 3660),
            queue_max=self.whole("pitrQueueMax", 32, 1048576),
            storage=self.whole("pitrStorage", 1, 65536),
            bucket=self.bucket("pitr"),
        )
        if not found.enabled and (given := [key for key in bucket_keys("pitr") if self.text(key)]):
            self.problems.append(
                f"{given[0]}: set without pitr, so that nothing is archived. "
                f"Set it: pulumi config set pitr true, or remove this one: pulumi config rm {given[0]}"
            )
        if found.enabled and self.text("databaseUrl"):
            self.problems.append(
                "pitr: got true, wanted false beside databaseUrl: who runs the managed database archives its log. "
                "Remove it: pulumi config rm pitr"
            )
        if found.enabled and self.raw("databaseMemory") < PITR_MEMORY:
            wanted = f"a whole number from {PITR_MEMORY} where pitr is true"
            self.problem("databaseMemory", wanted, self.raw("databaseMemory"))
        if self.text("databaseRestore") and not found.enabled:
            self.problems.append(
                "databaseRestore: set without pitr, so that there is no archive to restore from. "
                "Set it: pulumi config set pitr true, or remove this one: pulumi config rm databaseRestore"
            )
        return found

    def backups(self) -> Backups:
        """Return when backups are made, where they are kept, how many, and who is told."""
        found = Backups(
            enabled=self.truth("backups"),
            schedule=self.checked("backupSchedule", values.schedule),
            drill_schedule=self.checked("backupDrillSchedule", values.schedule_or_never),
            timezone=self.checked("backupTimezone", values.timezone),
            max_age_hours=self.whole("backupMaxAgeHours", 1, 8784),
            keep={
                "last": self.whole("backupKeepLast", 1, 100000),
                "daily": self.whole("backupKeepDaily", 0, 100000),
                "weekly": self.whole("backupKeepWeekly", 0, 100000),
                "monthly": self.whole("backupKeepMonthly", 0, 100000),
                "yearly": self.whole("backupKeepYearly", 0, 100000),
                "min": self.whole("backupKeepMin", 1, 100000),
            },
            recipients=self.each("backupRecipients", values.recipient),
            identity=self.secret("backupIdentity", values.identity),
            folder=self.checked("backupFolder", values.folder_or_nothing),
            storage=self.whole("backupStorage", 1, 65536),
            memory=self.whole("backupMemory", 256, 1048576),
            cpus=self.checked("backupCpus", values.processors),
            bucket=self.bucket("backup"),
            webhook_url=self.secret("backupWebhookUrl", values.web_address),
            ping_url=self.secret("backupPingUrl", values.web_address),
            smtp_url=self.secret("backupSmtpUrl", values.smtp_address),
            mail_to=self.each("backupMailTo", values.mail_address),
            mail_from=self.checked("backupMailFrom", values.mail_address),
            database_url=self.secret("backupDatabaseUrl", values.database_url),
        )
        mail = {key: bool(self.raw(key)) for key in ("backupSmtpUrl", "backupMailTo", "backupMailFrom")}
        for key in [key for key, there in mail.items() if not there and any(mail.values())]:
            given = next(other for other, there in mail.items() if there)
            self.problems.append(f"{key}: not set, though {given} is; mail wants all three. Set it: {setting(key)}")
        if self.text("backupDatabaseUrl") and not self.text("databaseUrl"):
            self.problems.append(
                "backupDatabaseUrl: set without databaseUrl: this stack's own database has a role for backups. "
                "Remove it: pulumi config rm backupDatabaseUrl"
            )
        if self.text("backupIdentity") and not found.recipients:
            self.problems.append(
                "backupIdentity: set without backupRecipients, so that nothing is encrypted to it. "
                f"Set them: {setting('backupRecipients')}"
            )
        return found

    def restores(self) -> Restores:
        """Return what a restore stops and starts, how it goes, and where its queue is."""
        found = Restores(
            enabled=self.truth("restores"),
            stop=self.each("restoreStopContainers", values.container_name),
            start=self.each("restoreStartContainers", values.container_name),
            order=self.one_of("restoreOrder", "load-first", "stop-first"),
            trust=self.one_of("restoreTrust", "any", "signed"),
            poll_interval=self.whole("restorePollInterval", 1, 3600),
            stop_timeout=self.whole("restoreStopTimeout", 1, 3600),
            stop_wait=self.whole("restoreStopWaitSeconds", 0, 3600),
            start_wait=self.whole("restoreStartWaitSeconds", 0, 3600),
            keep_previous=self.whole("restoreKeepPrevious", 1, 100),
            extensions=self.each("restoreExtensions", values.extension),
            folder=self.checked("restoreFolder", values.folder_or_nothing),
            storage=self.whole("restoreStorage", 1, 65536),
            memory=self.whole("restoreMemory", 256, 1048576),
            cpus=self.checked("restoreCpus", values.processors),
            admin_url=self.secret("restoreAdminUrl", values.database_url),
            loader_url=self.secret("restoreLoaderUrl", values.database_url),
        )
        urls = {key: bool(self.text(key)) for key in ("restoreAdminUrl", "restoreLoaderUrl")}
        for key in [key for key, there in urls.items() if not there and any(urls.values())]:
            self.problems.append(f"{key}: not set, though the other one is; they go together. Set it: {setting(key)}")
        if any(urls.values()) and not self.text("databaseUrl"):
            given = next(key for key, there in urls.items() if there)
            self.problems.append(
                f"{given}: set without databaseUrl: this stack's own database has roles for restores. "
                f"Remove it: pulumi config rm {given}"
            )
        return found

    def bucket(self, of: str) -> Bucket | None:
        """Return the bucket of backups or of the archive, or None; name and key go together.

        It is on the backups' server unless something is said of its own; a key is never another's.
        """
        name = self.checked(f"{of}S3Bucket", values.bucket_or_nothing)
        own = any(self.text(f"{of}S3{part}") for part in ("Endpoint", "Region", "Authorities"))
        server = of if own else "backup"
        endpoint = self.checked(f"{server}S3Endpoint", values.https_host_or_nothing)
        key_id = self.secret(f"{of}S3AccessKey", values.one_line)
        secret = self.secret(f"{of}S3SecretKey", values.one_line)
        parts = {key: bool(self.text(key)) for key in bucket_keys(of)}
        for key in [key for key, there in parts.items() if not there and any(parts.values())]:
            given = next(other for other, there in parts.items() if there)
            self.problems.append(f"{key}: not set, though {given} is; they go together. Set it: {setting(key)}")
        if not name or key_id is None or secret is None:
            return None
        return Bucket(
            name=name,
            endpoint=endpoint,
            region=self.checked(f"{server}S3Region", values.word_or_nothing),
            prefix=self.checked(f"{of}S3Prefix", values.prefix_or_nothing),
            authorities=self.checked(f"{server}S3Authorities", values.certificate),
            key_id=key_id,
            secret=secret,
        )

    def keys(self) -> Keys:
        """Return the app's configured keys; one that a key was before is nothing without that."""
        for others, own in (("secretKeyFallbacks", "secretKey"), ("factorKeyFallbacks", "factorKey")):
            if self.text(others) and not self.text(own):
                self.problems.append(
                    f"{others}: set without {own}: a generated key brings those it was. "
                    f"Set it: {setting(own)}, or remove this one: pulumi config rm {others}"
                )
        return Keys(
            secret_key_fallbacks=self.secret("secretKeyFallbacks", values.long_secrets),
            factor_key=self.secret("factorKey", values.long_secret),
            factor_key_fallbacks=self.secret("factorKeyFallbacks", values.long_secrets),
        )

    def saml(self) -> Saml:
        """Return how people sign in through an identity provider; what goes together is there together."""
        found = Saml(
            idp_entity_id=self.checked("samlIdpEntityId", values.entity_id_or_nothing),
            texts={
                "SAML_IDP_SLO_URL": self.checked("samlIdpSloUrl", values.https_url_or_nothing),
                "SAML_IDP_SSO_URL": self.checked("samlIdpSsoUrl", values.https_url_or_nothing),
                "SAML_REQUIRE_MFA": str(self.truth("samlRequireMfa")).lower(),
                "SAML_ROLES": self.checked("samlRoles", values.json_object),
                "SAML_ROLES_FROM": self.one_of("samlRolesFrom", "roles", "groups", "none"),
                "SAML_SIGN_AUTHN_REQUESTS": str(self.truth("samlSignAuthnRequests")).lower(),
                "SAML_SP_ENTITY_ID": self.checked("samlSpEntityId", values.entity_id_or_nothing),
                "SAML_SP_NAMEID_FORMAT": self.one_of(
                    "samlNameIdFormat", "persistent", "emailAddress", "unspecified", "transient"
                ),
                "SAML_USER_KEY": self.one_of("samlUserKey", "claims", "name-id"),
                "SAML_WANT_ASSERTION_ENCRYPTED": str(self.truth("samlWantAssertionEncrypted")).lower(),
                "SAML_WANT_ASSERTION_SIGNED": str(self.truth("samlWantAssertionSigned")).lower(),
                "SAML_WANT_RESPONSE_SIGNED": str(self.truth("samlWantResponseSigned")).lower(),
                **self.attributes(),
            },
            documents={
                "SAML_IDP_METADATA": self.text("samlIdpMetadata"),
                "SAML_IDP_X509_CERTS": self.checked("samlIdpCertificates", values.certificate),
                "SAML_SP_X509_CERT": self.checked("samlSpCertificate", values.certificate),
                "SAML_SP_X509_CERT_NEW": self.checked("samlSpCertificateNew", values.certificate),
            },
            private_key=self.secret("samlSpPrivateKey", values.private_key),
            private_key_old=self.secret("samlSpPrivateKeyOld", values.private_key),
            key_version=self.whole("samlSpKeyVersion", 1, 1000000),
            metadata_url=self.checked("samlIdpMetadataUrl", values.https_url_or_nothing),
        )
        self.refuse_half_of_saml(found)
        return found

    def attributes(self) -> dict[str, str]:
        """Return by which names the identity provider sends what, as the app's settings."""
        before = len(self.problems)
        text = self.checked("samlAttributes", values.attribute_names)
        names = json.loads(text or "{}") if len(self.problems) == before else {}
        return {f"SAML_ATTRIBUTE_{claim.upper()}": name for claim, name in sorted(names.items())}

    def refuse_half_of_saml(self, saml: Saml) -> None:
        """Keep a problem for each setting of SAML without which others mean nothing."""
        given = [
            key for key in sorted(self.given) if key.startswith("saml") and self.raw(key) != schema()[key]["default"]
        ]
        if not given:
            return

        def missing(key: str, why: str) -> None:
            self.problems.append(f"{key}: not set, though {why}. Set it: {setting(key)}")

        if not saml.idp_entity_id:
            missing("samlIdpEntityId", f"{given[0]} is; nobody signs in by SAML without an identity provider")
        elif not saml.metadata_url and not saml.documents["SAML_IDP_METADATA"]:
            for key, known in (
                ("samlIdpSsoUrl", saml.texts["SAML_IDP_SSO_URL"]),
                ("samlIdpCertificates", saml.documents["SAML_IDP_X509_CERTS"]),
            ):
                if not known:
                    missing(key, "samlIdpEntityId is, and neither samlIdpMetadataUrl nor samlIdpMetadata")
        certificate = saml.documents["SAML_SP_X509_CERT"]
        for key, held, other, also in (
            ("samlSpCertificate", certificate, "samlSpPrivateKey", saml.private_key),
            ("samlSpPrivateKey", saml.private_key, "samlSpCertificate", certificate),
            ("samlSpCertificate", certificate, "samlSpCertificateNew", saml.documents["SAML_SP_X509_CERT_NEW"]),
            ("samlSpPrivateKey", saml.private_key, "samlSpPrivateKeyOld", saml.private_key_old),
        ):
            if also and not held:
                missing(key, f"{other} is")

    def annotations(self, key: str) -> Mapping[str, str]:
        """Return the annotations that a setting names; keep a problem for what can be none."""
        try:
            return values.annotations_of_an_object(self.text(key))
        except ValueError as wanted:
            self.problem(key, str(wanted), self.text(key))
            return {}

    def kubernetes(self) -> KubernetesSettings:
        """Return what only a stack on Kubernetes can set."""
        parent = self.checked("gatewayParent", values.gateway_parent)
        return KubernetesSettings(
            registry=Registry(
                address=self.checked("imageRegistry", values.registry),
                user=self.text("imageRegistryUser"),
                password=self.text("imageRegistryPassword"),
            ),
            kubeconfig=self.text("kubeconfig"),
            context=self.text("kubeContext"),
            max_replicas=self.whole("maxReplicas", 0, 200),
            gateway_replicas=self.whole("gatewayReplicas", 1, 20),
            service_type=self.one_of("serviceType", "ClusterIP", "NodePort", "LoadBalancer"),
            node_port=self.whole("nodePort", 0, 65535),
            ingress_class=self.checked("ingressClass", values.name_or_nothing),
            ingress_annotations=self.annotations("ingressAnnotations"),
            service_annotations=self.annotations("serviceAnnotations"),
            gateway_parent=tuple(parent.split("/")) if parent else (),
            tls=Tls(
                certificate=self.checked("tlsCertificate", values.certificate),
                key=self.checked("tlsKey", values.private_key),
                issuer=self.checked("tlsIssuer", values.name_or_nothing),
            ),
            database_storage=self.whole("databaseStorage", 1, 65536),
            storage_class=self.checked("storageClass", values.name_or_nothing),
            leave_seconds=self.whole("leaveSeconds", 1, 300),
        )

    def refuse_of_another_platform(self, platform: str) -> None:
        """Keep a problem for each setting that says something about a platform which this stack does not run on."""
        for other, keys in ONLY_ON.items():
            for key in sorted(keys & self.given.keys() if other != platform else ()):
                if self.raw(key) != schema()[key]["default"]:
                    shown = "a value" if key in SECRETS else repr(self.raw(key))
                    self.problems.append(
                        f"{key}: got {shown}, wanted nothing on {platform}: it is a setting of stacks on {other}. "
                        f"Remove it: pulumi config rm {key}"
                    )

    def refuse_what_does_not_go_together(self, settings: Settings) -> None:
        """Keep a problem for each setting of a stack on Kubernetes that another one makes senseless, or needs."""
        own = settings.kubernetes
        if not own.registry.address:
            self.problem(
                "imageRegistry", "the registry that the cluster takes images from, such as registry.example.com/me", ""
            )
        for key, other in (
            ("imageRegistryUser", "imageRegistryPassword"),
            ("imageRegistryPassword", "imageRegistryUser"),
            ("tlsCertificate", "tlsKey"),
            ("tlsKey", "tlsCertificate"),
        ):
            if self.text(key) and not self.text(other):
                self.problems.append(f"{other}: not set, though {key} is; they go together. Set it: {setting(other)}")
        if 0 < own.max_replicas < settings.replicas:
            wanted = f"0 for no scaling, or replicas ({settings.replicas}) at the least"
            self.problem("maxReplicas", wanted, own.max_replicas)
        if own.node_port and own.service_type != "NodePort":
            self.problem("serviceType", "NodePort, since nodePort is set", own.service_type)
        if own.node_port and not 30000 <= own.node_port <= 32767:
            self.problem("nodePort", "0 for one that the cluster chooses, or 30000 to 32767", own.node_port)
        for key in ("restoreStopContainers", "restoreStartContainers"):
            strangers = [name for name in self.raw(key) if name != "web"]
            if strangers:
                self.problem(key, "names of the stack's services that may be stopped, which is web", strangers)
        for key, use in (
            ("ingressAnnotations", "is annotated with them"),
            ("tlsCertificate", "ends TLS with it"),
            ("tlsIssuer", "ends TLS with it"),
        ):
            if self.text(key) and not own.ingress_class:
                self.problems.append(
                    f"{key}: set without ingressClass, though nothing but an Ingress of the stack's own {use}. "
                    f"Set it: {setting('ingressClass')}, or remove this one: pulumi config rm {key}"
                )
        if own.tls.certificate and own.tls.issuer:
            self.problems.append(
                "tlsIssuer: set beside tlsCertificate, wanted one of them. Remove it: pulumi config rm tlsIssuer"
            )

    def refuse_in_production(self, settings: Settings) -> None:
        """Keep a problem for each value that only a development stack may have."""
        if not settings.production:
            return
        hint = "or, for a stack that is no production: pulumi config set environment development"
        if settings.debug:
            self.problems.append(f"debug: got true, wanted false in production. pulumi config set debug false, {hint}")
        if settings.password_login_enabled:
            self.problems.append(
                "passwordLoginEnabled: got true, wanted false in production. "
                f"pulumi config set passwordLoginEnabled false, {hint}"
            )
        if settings.backups.bucket and not settings.backups.recipients:
            self.problems.append(
                "backupRecipients: not set, though backupS3Bucket is: in production what leaves for a bucket is "
                f"encrypted. Make a key: age-keygen -o KEYFILE, keep it elsewhere, and set its public half, {hint}"
            )
        if urlsplit(settings.site_url).scheme == "http":
            self.problems.append(
                f"siteUrl: got {settings.site_url!r}, wanted an https URL in production (TLS ends in front). "
                f"pulumi config set siteUrl https://HOST, {hint}"
            )

    def finish(self) -> None:
        """Raise SettingsError if anything was wrong."""
        if self.problems:
            raise SettingsError(self.problems)
