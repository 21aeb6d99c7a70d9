import re

from hypothesis import given, settings
from hypothesis import strategies as st

from shared import instance_ids, names

LETTERS, CHARACTERS = "abcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwxyz0123456789"
PARTS = st.lists(st.text(CHARACTERS, min_size=1, max_size=9), min_size=1, max_size=3)
APPLICATIONS = st.builds(lambda first, parts: f"{first}x{'-'.join(parts)}", st.sampled_from(LETTERS), PARTS)
ENVIRONMENTS = st.sampled_from(["dev", "qa", "prod"])


@settings(deadline=None)
@given(APPLICATIONS, ENVIRONMENTS)
def test_names_keep_every_systems_rules(application: str, environment: str) -> None:
    made = names.environment_names(application, environment, "req-1")
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]", made.key_vault)
    assert "--" not in made.key_vault
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", made.postgres)
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,61}[a-z0-9]", made.namespace)


RULES = {
    # https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
    "resource_group": r"(?!.*\.$)[\w().-]{1,90}",
    "identity": r"[a-zA-Z0-9][a-zA-Z0-9_-]{2,120}",  # 128, and `-deploy` is added for the pipeline's identity
    "key_vault": r"(?!.*--)[a-zA-Z][a-zA-Z0-9-]{1,22}[a-zA-Z0-9]",
    "postgres": r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
    "namespace": r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",  # RFC 1123 label
    "record": r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
}
UNIQUE_BY_ITSELF = ("key_vault", "postgres")  # in all of Azure; the others are unique because the application's name is
LONG = st.builds(
    lambda first, rest: f"{first}{rest[:7]}-{rest[7:]}",
    st.sampled_from(LETTERS),
    st.text(CHARACTERS, min_size=15, max_size=24),
)
TAIL = st.text(CHARACTERS, min_size=1, max_size=5)


@settings(deadline=None)  # the machine may be busy
@given(LONG, st.lists(TAIL, min_size=2, max_size=6, unique=True), st.booleans())
def test_names_that_are_the_same_after_shortening_are_not(stem: str, tails: list[str], shared: bool) -> None:
    applications = [f"{stem}{tail}" for tail in tails]
    assert len({name[:14] for name in applications}) == 1  # what a vault's name has room for
    made = [
        names.environment_names(application, environment, "req-1" if shared else f"req-{number}")
        for number, application in enumerate(applications)
        for environment in ("dev", "qa", "prod")
    ]
    for field, rule in RULES.items():
        values = [getattr(one, field) for one in made]
        assert not [value for value in values if not re.fullmatch(rule, value)], field
        expected = len(applications) if field == "record" else len(made)  # one record in the zone of each environment
        assert len(set(values)) == expected, (field, values)
    for field in UNIQUE_BY_ITSELF:
        assert len({getattr(one, field).casefold() for one in made}) == len(made)


def test_many_names_of_one_stem_stay_apart() -> None:
    made = [
        names.environment_names(f"payments-settlement-{number}", environment, f"req-{number:012x}")
        for number in range(150)
        for environment in ("dev", "qa", "prod")
    ]
    assert len({one.key_vault for one in made}) == len({one.postgres for one in made}) == len(made)


@settings(deadline=None)
@given(APPLICATIONS, APPLICATIONS)
def test_an_application_and_environment_cannot_be_written_as_another_pair(first: str, second: str) -> None:
    pairs = [(name, environment) for name in (first, second) for environment in ("dev", "qa", "prod")]
    made = {pair: names.environment_names(*pair, "req-1") for pair in pairs}
    groups = {one.resource_group for one in made.values()}
    identities = {one.identity for one in made.values()}
    assert len(groups) == len(identities) == len(made)
    assert not identities & {f"{name}-deploy" for name in identities}


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
