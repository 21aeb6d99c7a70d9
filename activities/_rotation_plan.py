"""What the renewal of a secret would do: its actions and their exact calls."""

from dataclasses import dataclass
from typing import Any

from activities._providers import CREDENTIAL, CredentialProvider, Turn
from shared.clients import key_vault
from shared.clients.key_vault import SecretVersion
from shared.models.day2_secrets import SecretName
from shared.models.operations import OperationRecord, PlannedAction, PlannedCall
from shared.rotation_rules import RotationRule

ROTATION = "rotation-id"
REVOKE, SINGLE = "revoke-secret", "rotate-single-secret"


@dataclass(frozen=True)
class RotationPlan:
    """The actions that renew a secret."""

    record: OperationRecord
    asked: SecretName
    secret: SecretVersion
    environment: str
    owner: str
    provider: CredentialProvider

    def actions(self, rule: RotationRule, new: Turn, old: Turn) -> list[PlannedAction]:
        """First the new credential is published; then, in a wave of its own, the old one is made worthless.

        With one credential only, both are one action: it cannot be done without a gap.
        """
        renew, retire = self.provider.renewal(new), self.provider.retirement(old)
        made = new.credential or "another one"
        if rule.strategy == "single":
            calls = [renew, self._publication(new), *([retire] if self.provider.adds else [])]
            told = (
                f"replace {old.credential} and publish it as {self.asked.secret}; consumers are locked out until they"
            )
            return [self._action("replace", new, old, f"{told} have read the new value: it has no second one", calls)]
        told = f"renew {made}, prove it and publish it as {self.asked.secret}"
        ended = f"make {old.credential} worthless"
        return [
            self._action("publish", new, old, told, [renew, self._publication(new)]),
            self._action("retire", old, old, ended, [retire]),
        ]

    def _publication(self, new: Turn) -> PlannedCall:
        put = f"{key_vault.url_of(self.asked.vault)}/secrets/{self.asked.secret}"
        tags = {CREDENTIAL: new.credential or "as the provider names it", ROTATION: self.record.id}
        return PlannedCall(method="PUT", target=put, body={"tags": tags})

    def _action(self, step: str, turn: Turn, old: Turn, summary: str, calls: list[PlannedCall]) -> PlannedAction:
        asked: dict[str, Any] = self.asked.document()
        rule = self.record.operation
        return PlannedAction(
            key=step,
            rule=SINGLE if step == "replace" and rule != REVOKE else rule,
            kind=self.provider.kind,
            target=turn.address,
            environment=self.environment,
            owned_by=self.owner,
            summary=summary,
            calls=calls,
            destructive=True,
            facts={
                **asked,
                "version": self.secret.version,
                "since": turn.since,
                "step": step,
                "credential": turn.credential,
                "old": old.credential,
                "days": turn.days,
            },
        )
