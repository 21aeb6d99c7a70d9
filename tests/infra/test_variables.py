"""Variables come from a commit that brings nothing else."""

import json
import subprocess
from pathlib import Path

import pytest

from infra.iac_runner.problems import RunError
from infra.iac_runner.variables import from_commit

CONTENT = json.dumps({"application": "payments-api", "environment": "dev", "text": '${file("/etc/passwd")}'})
PATH = "apps/payments-api/dev.tfvars.json"


class Repository:
    """A clone whose origin has one commit on main."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "-q", "-b", "main")
        self.commit({"stacks/api/main.tf": "# code"})
        self.git("update-ref", "refs/remotes/origin/main", "HEAD")

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
        command = ["git", "-C", str(self.folder), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, files: dict[str, str]) -> str:
        for name, content in files.items():
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        self.git("add", ".")
        self.git("commit", "-q", "-m", "change")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_the_file_of_the_commit_is_taken(repository: Repository) -> None:
    commit = repository.commit({PATH: CONTENT})
    (repository.folder / PATH).write_text("what lies in the work tree does not count")
    assert from_commit(repository.folder, commit, "payments-api", "dev").decode() == CONTENT


def test_it_still_is_after_the_merge(repository: Repository) -> None:
    commit = repository.commit({PATH: CONTENT})
    repository.git("update-ref", "refs/remotes/origin/main", "HEAD")
    assert from_commit(repository.folder, commit, "payments-api", "dev").decode() == CONTENT


@pytest.mark.parametrize(
    "other",
    [
        "stacks/api/main.tf",
        "apps/payments-api/prod.tfvars.json",
        "apps/shop/dev.tfvars.json",
        ".github/workflows/x.yml",
    ],
)
def test_a_commit_that_touches_anything_else_is_refused(repository: Repository, other: str) -> None:
    repository.commit({other: "{}"})
    commit = repository.commit({PATH: CONTENT})
    with pytest.raises(RunError, match="touch nothing else"):
        from_commit(repository.folder, commit, "payments-api", "dev")


def test_a_rename_does_not_hide_what_was_there(repository: Repository) -> None:
    repository.commit({"apps/shop/dev.tfvars.json": CONTENT})
    repository.git("update-ref", "refs/remotes/origin/main", "HEAD")
    (repository.folder / "apps/payments-api").mkdir()
    repository.git("mv", "apps/shop/dev.tfvars.json", PATH)
    commit = repository.commit({})
    with pytest.raises(RunError, match="shop"):
        from_commit(repository.folder, commit, "payments-api", "dev")


def test_a_link_is_no_file(repository: Repository) -> None:
    (repository.folder / "apps/payments-api").mkdir(parents=True)
    (repository.folder / PATH).symlink_to("/etc/passwd")
    commit = repository.commit({})
    with pytest.raises(RunError, match="has no file"):
        from_commit(repository.folder, commit, "payments-api", "dev")


@pytest.mark.parametrize("commit", ["main", "--help", "0" * 40, "$(id)"])
def test_what_is_no_commit_is_refused(repository: Repository, commit: str) -> None:
    with pytest.raises(RunError):
        from_commit(repository.folder, commit, "payments-api", "dev")


@pytest.mark.parametrize("content", ["", "[]", '"text"', "{"])
def test_variables_must_be_an_object(repository: Repository, content: str) -> None:
    commit = repository.commit({PATH: content or " "})
    with pytest.raises(RunError, match="Variables unreadable"):
        from_commit(repository.folder, commit, "payments-api", "dev")
