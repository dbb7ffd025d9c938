"""The random provider, through a real `pulumi up`."""

from __future__ import annotations

import json

from tests.offline.conftest import Project

EVERYTHING = """
import pulumi, pulumi_random as random

password = random.RandomPassword("password", length=LENGTH, min_upper=2, keepers={"k": pulumi.Output.secret("v")})
text = random.RandomString("text", length=12, special=False)
content = random.RandomBytes("content", length=16)
identity = random.RandomId("identity", byte_length=8, prefix="p-")
number = random.RandomInteger("number", min=1, max=6, keepers={"password": password.result})
pet = random.RandomPet("pet", prefix="my")
order = random.RandomShuffle("order", inputs=["a", "b", "c"])
uuids = [random.RandomUuid("u"), random.RandomUuid4("u4"), random.RandomUuid7("u7")]

pulumi.export("password", password.result)
pulumi.export("hash", password.bcrypt_hash)
pulumi.export("text", text.result)
pulumi.export("content", content.base64)
pulumi.export("identity", identity.b64_url)
pulumi.export("number", number.result)
pulumi.export("pet", pet.id)
pulumi.export("order", order.results)
pulumi.export("uuids", [each.result for each in uuids])
"""


def test_everything_is_drawn_once_and_kept(project: Project) -> None:
    project.program(EVERYTHING.replace("LENGTH", "20"))
    preview = project.succeed("preview", "--stack", "dev")
    assert "+ 11 to create" in preview
    shown = project.up()
    first = project.outputs()
    assert first["password"] not in shown
    assert len(first["password"]) == 20
    assert sorted(first["order"]) == ["a", "b", "c"]
    assert first["pet"].startswith("my-")
    assert first["identity"].startswith("p-")
    project.up("--refresh", "--expect-no-changes")
    assert project.outputs() == first

    stored = json.dumps(project.deployment())
    assert first["password"] not in stored
    assert first["hash"] not in stored
    assert first["text"] in stored, "a RandomString is no secret, here or officially"

    project.program(EVERYTHING.replace("LENGTH", "24"))
    project.up()
    second = project.outputs()
    assert len(second["password"]) == 24
    assert {name for name in first if first[name] != second[name]} - {"number"} == {"password", "hash"}

    project.succeed("destroy", "--yes", "--skip-preview", "--stack", "dev")


def test_a_replacement_is_made_before_the_old_one_goes(project: Project) -> None:
    project.program("import pulumi_random as r\nr.RandomPassword('p', length=8)\n")
    project.up()
    project.program("import pulumi_random as r\nr.RandomPassword('p', length=9)\n")
    shown = project.up()
    assert shown.index("creating replacement") < shown.index("deleting original")


def test_a_refusal_names_the_resource_and_the_input(project: Project) -> None:
    project.program("import pulumi_random as r\nr.RandomPassword('p', length=2, min_upper=3)\n")
    shown = project.fail("up", "--yes", "--skip-preview", "--stack", "dev")
    assert "p" in shown
    assert "length" in shown
    assert "is 2; the minima of the classes add up to 3" in shown
    project.program("import pulumi_random as r\nr.RandomPassword('p', length=8, number=True, numeric=False)\n")
    assert "contradicts numeric" in project.fail("preview", "--stack", "dev")


def test_a_password_is_imported_and_then_left_alone(project: Project) -> None:
    project.program(
        """
        import pulumi, pulumi_random as r
        p = r.RandomPassword("p", length=9, opts=pulumi.ResourceOptions(import_="open-says"))
        pulumi.export("result", p.result)
        """
    )
    project.up()
    assert project.outputs()["result"] == "open-says"
    project.program(
        "import pulumi, pulumi_random as r\npulumi.export('result', r.RandomPassword('p', length=9).result)\n"
    )
    project.up("--expect-no-changes")


def test_a_pet_cannot_be_imported(project: Project) -> None:
    project.program(
        "import pulumi, pulumi_random as r\nr.RandomPet('p', opts=pulumi.ResourceOptions(import_='brave-cat'))\n"
    )
    assert "RandomPet cannot be imported" in project.fail("up", "--yes", "--skip-preview", "--stack", "dev")
