"""When a PersistentVolumeClaim is ready: a volume is bound to it."""

from __future__ import annotations

from offline.kubernetes.readiness.verdict import Object, Verdict


def judge(claim: Object) -> Verdict:
    """Return what a claim tells; whether it waits for its first consumer is for its class to say."""
    phase = (claim.get("status") or {}).get("phase", "Pending")
    wanted = (claim.get("spec") or {}).get("storageClassName")
    told = f"no volume was bound to it; its phase is {phase}, its storage class {wanted or 'none'}"
    return Verdict(ready=phase == "Bound", progress=f"Waiting for a volume ({phase})", reasons=(told,))
