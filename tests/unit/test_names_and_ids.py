import re

from hypothesis import given
from hypothesis import strategies as st

from shared import instance_ids, names

APPLICATIONS = st.from_regex(r"[a-z][a-z0-9]{0,10}(-[a-z0-9]{1,10}){0,2}", fullmatch=True).filter(
    lambda name: 3 <= len(name) <= 32
)
ENVIRONMENTS = st.sampled_from(["dev", "qa", "prod"])


@given(APPLICATIONS, ENVIRONMENTS)
def test_names_keep_every_systems_rules(application: str, environment: str) -> None:
    made = names.environment_names(application, environment, "req-1")
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]", made.key_vault)
    assert "--" not in made.key_vault
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", made.postgres)
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,61}[a-z0-9]", made.namespace)


def test_long_names_do_not_collide_after_shortening() -> None:
    first = names.environment_names("payments-settlement-reporting-a", "dev", "req-1")
    second = names.environment_names("payments-settlement-reporting-b", "dev", "req-1")
    assert first.key_vault != second.key_vault
    assert first.key_vault[:17] == second.key_vault[:17]


def test_a_soft_deleted_vault_does_not_block_the_same_request_again() -> None:
    first = names.environment_names("payments-api", "dev", "req-1")
    again = names.environment_names("payments-api", "dev", "req-2")
    assert first.key_vault != again.key_vault
    assert first.postgres != again.postgres
    assert first.resource_group == again.resource_group


def test_request_ids_belong_to_tenant_caller_and_key() -> None:
    one = instance_ids.request_id("t", "alice", "key")
    assert one == instance_ids.request_id("t", "alice", "key")
    others = {
        instance_ids.request_id("t", "alice", "key2"),
        instance_ids.request_id("t", "bob", "key"),
        instance_ids.request_id("u", "alice", "key"),
        instance_ids.request_id("t", "ali", "cekey"),
    }
    assert one not in others
    assert len(others) == 4


def test_children_and_runs_are_told_apart() -> None:
    parent = instance_ids.onboard_instance("req-1", 2)
    assert instance_ids.child_instance(parent, "source", 1) == "req-1:onboard:2:source:1"
    assert instance_ids.undo_instance("req-1", 3) == "req-1:undo:3"
    assert instance_ids.iac_run("req-1", "dev", "plan", "1.1") == "req-1-dev-plan-1.1"
