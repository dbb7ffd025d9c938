"""Answers Diff: what new inputs would do to an object, as it was last seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from offline.kubernetes import fields, kinds, path
from offline.kubernetes.annotations import AUTONAMED, annotation
from offline.kubernetes.metadata import metadatum, text
from offline.kubernetes.shape import pruned
from offline.plugin.errors import PluginError
from offline.plugin.values import Properties, Unknown, Value, contains_unknown, is_unknown, reveal_properties

ADD, DELETE, UPDATE, REPLACE = "ADD", "DELETE", "UPDATE", "_REPLACE"

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Change:
    """What happens to one path; `from_inputs` says that the program itself took it out."""

    kind: str
    from_inputs: bool = False


@dataclass(frozen=True)
class Diff:
    """The answer: whether anything changes, the change by path, what needs another object, and in which order."""

    changed: bool
    changes: Mapping[str, Change] = field(default_factory=dict)
    replaces: list[str] = field(default_factory=list)
    delete_first: bool = False


class _Missing:
    """No value, which is something else than a null."""


MISSING = _Missing()


def diff(
    token: str, inputs: Mapping[str, Value], state: Mapping[str, Value], news: Properties, *, namespaced: bool,
    ignore: Sequence[str] = (), mutable_config_maps: bool = False, mutable_secrets: bool = False,
    unready: bool = False,
) -> Diff:  # fmt: skip
    """Compare new inputs with the last state, as far as the old inputs speak of it.

    `unready` says that the object failed, and that its program wants another one then. Raises PluginError for an
    ignored path that is none.
    """
    live: dict[str, Any] = reveal_properties(state)
    old, new = _prepared(inputs), _prepared(news)
    before = _placed({"apiVersion": new.get("apiVersion"), "kind": new.get("kind"), **pruned(live, old)}, namespaced)
    after = _placed(new, namespaced)
    if isinstance(before.get("metadata"), dict):
        before["metadata"].pop("resourceVersion", None)
        if text(after, "name"):
            before["metadata"]["name"] = text(live, "name")
    identity_only = kinds.is_patch(token)
    replacing = kinds.IDENTITY if identity_only else kinds.replacing(
        after, mutable_config_maps=mutable_config_maps, mutable_secrets=mutable_secrets
    )  # fmt: skip
    found = _Comparison([tuple(name.split(".")) for name in replacing]).compared(before, after)
    found = _without_ignored(found, ignore)
    changes = {path.written(steps): change for steps, change in found.items()}
    replaces = [
        name
        for name, change in changes.items()
        if change.kind.endswith(REPLACE) or (name == "metadata" and change.kind == DELETE)
    ]
    if unready:
        replaces.append('.metadata.annotations["pulumi.com/replaceUnready"]')
    stays = text(after, "name") == text(live, "name") and text(after, "namespace") == text(live, "namespace")
    named = bool(text(after, "name")) or is_unknown(metadatum(news, "name"))
    delete_first = bool(replaces) and named and annotation(after, AUTONAMED) != "true" and stays
    return Diff(bool(changes) or unready, changes, replaces, delete_first)


def _prepared(inputs: Mapping[str, Value]) -> dict[str, Any]:
    plain: dict[str, Any] = reveal_properties(inputs)
    return fields.without_read_only(plain) if contains_unknown(plain) else fields.normalized(plain)


def _placed(thing: dict[str, Any], namespaced: bool) -> dict[str, Any]:
    """Return a copy whose namespace is written out where its kind has one, and left out elsewhere."""
    metadata = thing.get("metadata", {})
    if not isinstance(metadata, dict):
        return dict(thing)
    known = {key: value for key, value in metadata.items() if key != "namespace"}
    if namespaced:
        known["namespace"] = text(thing, "namespace") or "default"
    return {**thing, "metadata": known} if known or "metadata" in thing else dict(thing)


def _without_ignored(found: Mapping[Path, Change], ignore: Sequence[str]) -> dict[Path, Change]:
    try:
        ignored = [path.parse(written) for written in ignore]
    except ValueError as error:
        raise PluginError(f"failed to parse ignore path: {error}") from None
    return {steps: change for steps, change in found.items() if not any(_contains(one, steps) for one in ignored)}


def _contains(outer: Sequence[str | int], inner: Path) -> bool:
    return len(outer) <= len(inner) and all(mine in (theirs, "*") for mine, theirs in zip(outer, inner, strict=False))


class _Comparison:
    """Compares two objects; a change names the outermost path that came, went, or is another value."""

    def __init__(self, replacing: Sequence[Sequence[str]]) -> None:
        self._replacing = replacing
        self._found: dict[Path, Change] = {}

    def compared(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[Path, Change]:
        """Return the changes by path."""
        self._maps((), before, after)
        return self._found

    def _maps(self, steps: Path, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        for key in [*after, *(key for key in before if key not in after)]:
            self._values((*steps, key), before.get(key, MISSING), after.get(key, MISSING))

    def _lists(self, steps: Path, before: Sequence[Any], after: Sequence[Any]) -> None:
        for index in range(max(len(before), len(after))):
            pair = (values[index] if index < len(values) else MISSING for values in (before, after))
            self._values((*steps, index), *pair)

    def _values(self, steps: Path, before: Any, after: Any) -> None:
        if before is None and after is None:
            return
        if after is None:
            after = MISSING  # a null takes away
        if isinstance(after, Unknown) and isinstance(before, dict):
            # An unknown map has no keys that one could compare, so that each old one seems to go.
            self._maps(steps, before, {})
        elif isinstance(before, dict) and isinstance(after, dict):
            self._maps(steps, before, after)
        elif isinstance(before, list) and isinstance(after, list):
            self._lists(steps, before, after)
        elif after is MISSING:
            self._add(steps, DELETE, None, from_inputs=True)
        elif before is MISSING:
            self._add(steps, ADD, after)
        elif not _same(before, after):
            self._add(steps, UPDATE, after)

    def _add(self, steps: Path, kind: str, value: Any, *, from_inputs: bool = False) -> None:
        replaces = any(_reaches(wanted, steps, value) for wanted in self._replacing)
        self._found[steps] = Change(f"{kind}{REPLACE}" if replaces else kind, from_inputs)


def _same(before: Any, after: Any) -> bool:
    return isinstance(before, bool) == isinstance(after, bool) and bool(before == after)


def _reaches(wanted: Sequence[str], steps: Path, value: Any) -> bool:
    """Say whether a change of `steps` to a value touches a path: it lies below it, or the value holds it."""
    for mine, theirs in zip(wanted, steps, strict=False):
        if mine != theirs and not (mine == "*" and isinstance(theirs, int)):
            return False
    return len(steps) >= len(wanted) or _holds(value, wanted[len(steps) :])


def _holds(value: Any, names: Sequence[str]) -> bool:
    if not names:
        return True
    first, *rest = names
    return any(_holds(item, rest) for item in _below(value, first))


def _below(value: Any, name: str) -> Iterator[Any]:
    if name == "*" and isinstance(value, list):
        yield from value
    elif isinstance(value, dict) and name in value:
        yield value[name]
