"""What the modules say of the project is true: settings, addresses, tables; and `check` says when it could not look."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.adapters.redis.event_bus import RedisEventBus
from orchestrator.adapters.sql.database import database_url
from orchestrator.app.settings import read, unknown

ROOT = Path(__file__).parents[2]
TERRAFORM = ROOT / "infra/terraform"
TEXTS = [*TERRAFORM.rglob("*.tf"), *TERRAFORM.rglob("*.md"), *TERRAFORM.rglob("*.hcl"), *TERRAFORM.rglob("*.yaml")]


def test_every_setting_that_is_named_is_one() -> None:
    for path in [*TEXTS, ROOT / "docs/deploy-aws.md"]:
        named = set(re.findall(r"\bFAILOVER_[A-Z0-9_]*[A-Z0-9]\b", path.read_text())) - {"FAILOVER_TEST_REQUIRE"}
        assert unknown(dict.fromkeys(named, "")) == (), path


def test_outputs_of_settings_hold_settings_alone() -> None:
    seen = 0
    for path in TERRAFORM.rglob("outputs.tf"):
        for body in re.findall(r'^output "(?:settings|secrets)" \{\n(.*?)^\}', path.read_text(), re.M | re.S):
            for key in re.findall(r"^    (\w+) += ", body, re.M):
                assert unknown({key: ""}) == (), f"{path}: {key}"
                seen += 1
    assert seen >= 7


async def test_addresses_of_the_data_stores_are_understood() -> None:
    text = (TERRAFORM / "modules/data/main.tf").read_text()
    postgres, valkey = re.findall(r'"((?:postgresql|rediss)://[^"]+)"', text)
    postgres = postgres.replace("%d", "%s") % ("failover", "Pa55", "db.example", 5432, "failover", "/etc/ca.pem")
    url = database_url(read({"FAILOVER_DATABASE_URL": postgres}).database_url or "")
    assert (url.host, url.port, url.database, url.password) == ("db.example", 5432, "failover", "Pa55")
    assert url.query == {"sslmode": "verify-full", "sslrootcert": "/etc/ca.pem"}
    bus = RedisEventBus(valkey.replace("%d", "%s") % ("Pa55", "valkey.example", 6379), "failover")
    await bus.close()


def test_tables_in_the_readmes_are_as_variables_and_outputs() -> None:
    done = subprocess.run([sys.executable, TERRAFORM / "tables", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_variable_and_output_says_what_it_is() -> None:
    for path in [*TERRAFORM.rglob("variables.tf"), *TERRAFORM.rglob("outputs.tf")]:
        for kind, name, body in re.findall(r'^(variable|output) "(\w+)" \{\n(.*?)^\}', path.read_text(), re.M | re.S):
            assert re.search(r'^  description += ".+"$', body, re.M), f"{path}: {name}"
            assert kind == "output" or re.search(r"^  type += ", body, re.M), f"{path}: {name}"


@pytest.mark.parametrize(("required", "code", "word"), [("", 0, "skipped"), ("all", 1, "required and missing")])
def test_a_machine_without_terraform(required: str, code: int, word: str, tmp_path: Path) -> None:
    environ = os.environ | {"PATH": str(tmp_path), "FAILOVER_TEST_REQUIRE": required}
    done = subprocess.run([sys.executable, TERRAFORM / "check"], env=environ, capture_output=True, text=True)
    assert done.returncode == code
    assert word in done.stdout
