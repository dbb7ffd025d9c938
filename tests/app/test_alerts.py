"""The rules of the alerts, as Prometheus' own tool judges them: each fires when it should, and otherwise does not."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from scaffold import audit, metrics
from scaffold.saml import ends

from tests.conftest import ROOT

RULES = ROOT / "app" / "alerts" / "login.yml"
DAY = 86_400
# When the rules are asked, in minutes from the start of the series; what happens does so a few minutes before.
AT = 30
CALM = {(event, "", ""): f"0x{AT}" for event in audit.EVENTS}


@dataclass(frozen=True)
class Case:
    """What the site tells in half an hour, and which alerts that makes; counts are told in Prometheus' short way."""

    name: str
    counts: dict[tuple[str, str, str], str]
    fires: tuple[str, ...] = ()
    ends: tuple[tuple[str, str, float], ...] = ()


def rises(by: int) -> str:
    """Return a count that rises by some, three minutes before the rules are asked."""
    return f"7x{AT - 3} {7 + by}x3"


def is_long_ago(by: int) -> str:
    """Return a count that rose by some, twenty minutes before the rules are asked."""
    return f"7x{AT - 20} {7 + by}x20"


CASES = [
    Case("nothing happens", {}),
    Case("somebody signs in", {("authn_login_success", "saml", ""): rises(40)}),
    Case("break-glass is opened", {("authn_break_glass_opened", "command", ""): rises(1)}, ("BreakGlassOpened",)),
    Case("break-glass was opened", {("authn_break_glass_opened", "command", ""): is_long_ago(1)}),
    Case("break-glass is used", {("authn_break_glass_used", "password+totp", ""): rises(1)}, ("BreakGlassUsed",)),
    Case("break-glass was used", {("authn_break_glass_used", "password+totp", ""): is_long_ago(1)}),
    Case(
        "a password is wrong", {("authn_login_fail", "password", "wrong_password"): rises(1)}, ("BreakGlassAttempted",)
    ),
    Case("a password was wrong", {("authn_login_fail", "password", "wrong_password"): is_long_ago(1)}),
    Case(
        "the first wrong password of all",
        {("authn_login_fail", "password", "wrong_password"): f"_x{AT - 3} 1x3"},
        ("BreakGlassAttempted",),
    ),
    Case("an answer of the provider is refused", {("authn_login_fail", "saml", "expired"): rises(1)}),
    Case("an account is locked", {("authn_mfa_lock", "totp", ""): rises(1)}, ("AccountLocked",)),
    Case("an account was locked", {("authn_login_lock", "password", ""): is_long_ago(1)}),
    Case("a recovery code is used", {("authn_recovery_code_used", "", ""): rises(1)}, ("RecoveryCodeUsed",)),
    Case("a recovery code was used", {("authn_recovery_code_used", "", ""): is_long_ago(1)}),
    Case("a factor is added", {("authn_factor_added", "passkey", ""): rises(1)}, ("FactorChanged",)),
    Case("a factor is removed", {("authn_factor_removed", "totp", ""): rises(1)}, ("FactorChanged",)),
    Case("a factor was added", {("authn_factor_added", "passkey", ""): is_long_ago(1)}),
    Case("many fail", {("authn_login_fail", "saml", "expired"): rises(11)}, ("SignInFailsMoreThanItWorks",)),
    Case("some fail", {("authn_login_fail", "saml", "expired"): rises(10)}),
    Case(
        "many fail, and as many do not",
        {("authn_login_fail", "saml", "expired"): rises(30), ("authn_login_success", "saml", ""): rises(25)},
    ),
    Case("codes fail", {("authn_mfa_fail", "totp", "wrong_code"): rises(6)}, ("SecondFactorFailsMoreThanItWorks",)),
    Case("some codes fail", {("authn_mfa_fail", "totp", "wrong_code"): rises(5)}),
    Case("another site's forms come", {("malicious_csrf", "", "other_site"): rises(6)}, ("FormsFromElsewhere",)),
    Case("a few forms come", {("malicious_csrf", "", "other_site"): rises(5)}),
    Case("old forms come", {("malicious_csrf", "", "no_token"): rises(50)}),
    Case("certificates are good", {}, (), (("provider", "now", 61), ("site", "now", 3000))),
    Case("the provider's ends", {}, ("CertificateEndsWithin60Days",), (("provider", "now", 59),)),
    Case("the provider's next is known", {}, (), (("provider", "now", 59), ("provider", "now", 400))),
    Case("the site's ends", {}, ("CertificateEndsWithin30Days",), (("provider", "now", 61), ("site", "now", 29))),
    Case(
        "the site's next is not in use",
        {},
        ("CertificateEndsWithin7Days",),
        (("site", "now", 6), ("site", "next", 900)),
    ),
    Case("the site's next has ended", {}, (), (("site", "now", 900), ("site", "next", 1))),
    Case("both end", {}, ("CertificateEndsWithin7Days",) * 2, (("provider", "now", 6.9), ("site", "now", -1))),
    Case("a month is left", {}, ("CertificateEndsWithin60Days",), (("provider", "now", 30.1),)),
    Case("a week is left", {}, ("CertificateEndsWithin30Days",), (("provider", "now", 7.1),)),
]


@pytest.fixture(scope="module")
def promtool(prometheus: Path) -> str:
    """Prometheus' tool for rules."""
    return str(prometheus / "promtool")


def run(promtool: str, *words: str) -> str:
    """Run the tool and return what it says; it must be content."""
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    done = subprocess.run([promtool, *words], capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> dict[str, dict[str, Any]]:
    """Return the alerts by their names."""
    document = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return {rule["alert"]: rule for group in document["groups"] for rule in group["rules"] if "alert" in rule}


def test_the_rules_are_ones_that_prometheus_takes(promtool: str) -> None:
    assert f"{len(rules()) + 1} rules found" in run(promtool, "check", "rules", str(RULES))


def test_each_rule_fires_in_one_case_at_least_and_keeps_silent_in_another() -> None:
    fired = {name for case in CASES for name in case.fires}
    assert fired == set(rules())
    for name in fired:
        assert any(name not in case.fires for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_happens_makes_the_alerts_that_it_should_and_no_other(promtool: str, case: Case, tmp_path: Path) -> None:
    document = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [*counts_of(case), *ends_of(case)],
                "alert_rule_test": [
                    {"eval_time": f"{AT}m", "alertname": name, "exp_alerts": expected(case, name, rule)}
                    for name, rule in rules().items()
                ],
            }
        ],
    }
    path = tmp_path / "case.yml"
    path.write_text(json.dumps(document), encoding="utf-8")
    run(promtool, "test", "rules", str(path))


def counts_of(case: Case) -> list[dict[str, str]]:
    """Return the series of what is counted, as two replicas tell it."""
    told = CALM | case.counts
    return [
        {
            "series": f'{metrics.EVENTS}{{event="{event}",method="{method}",reason="{reason}",instance="{replica}"}}',
            "values": values,
        }
        for (event, method, reason), values in told.items()
        for replica in ("web-1", "web-2")
    ]


def ends_of(case: Case) -> list[dict[str, str]]:
    """Return the series of when certificates end, counted from when the rules are asked."""
    return [
        {
            "series": f'{ends.METRIC}{{whose="{whose}",use="{use}",thumbprint="{number}",instance="{replica}"}}',
            "values": f"{AT * 60 + days * DAY:.0f}x{AT}",
        }
        for number, (whose, use, days) in enumerate(case.ends)
        for replica in ("web-1", "web-2")
    ]


def expected(case: Case, name: str, rule: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the alerts of a rule that a case makes, with the words that somebody reads."""
    if name not in case.fires:
        return []
    about = [{"whose": whose} for whose in firing(case)] if "whose" in rule["expr"] else [{}]
    return [
        {
            "exp_labels": {**rule["labels"], **labels},
            "exp_annotations": {
                key: words.replace("{{ $labels.whose }}", labels.get("whose", ""))
                for key, words in rule["annotations"].items()
            },
        }
        for labels in about
    ]


def firing(case: Case) -> list[str]:
    """Return whose certificates end soon in a case."""
    last = {
        whose: max(days for who, use, days in case.ends if (who, use) == (whose, "now")) for whose, _, _ in case.ends
    }
    return [whose for whose, days in last.items() if days < 60]
