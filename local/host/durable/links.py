"""The durable client binding and the management links of an instance (BindingHelper.cs)."""

import json
from dataclasses import dataclass
from urllib.parse import quote

from local.host.frames import Value
from local.host.functions import Function

_PATH = "/runtime/webhooks/durabletask"


@dataclass(frozen=True)
class Links:
    """Where the durable HTTP API is reached: publicly with a key, and by the SDK on the rpc port."""

    hub: str
    code: str
    origin: str
    rpc_origin: str

    def of(self, instance_id: str, origin: str = "") -> dict[str, str]:
        """The management URLs of one instance, on the caller's own origin."""
        one = f"{origin or self.origin}{_PATH}/instances/{quote(instance_id, safe=':')}"
        query = f"taskHub={self.hub}&connection=Storage&code={self.code}"
        verbs = ("terminate", "rewind", "suspend", "resume")
        return {
            "id": instance_id,
            "statusQueryGetUri": f"{one}?{query}",
            "sendEventPostUri": f"{one}/raiseEvent/{{eventName}}?{query}",
            "purgeHistoryDeleteUri": f"{one}?{query}",
            "restartPostUri": f"{one}/restart?{query}",
            **{f"{verb}PostUri": f"{one}/{verb}?reason={{text}}&{query}" for verb in verbs},
        }

    def client_inputs(self, function: Function) -> list[tuple[str, Value]]:
        """The inputs for every durableClient binding of a function."""
        names = [binding["name"] for binding in function.input_bindings if binding["type"] == "durableClient"]
        return [(name, ("string", self._binding())) for name in names]

    def _binding(self) -> str:
        base = self.origin + _PATH
        start = f"{base}/orchestrators/{{functionName}}[/{{instanceId}}]"
        wait = "timeout={timeoutInSeconds}&pollingInterval={intervalInSeconds}"
        return json.dumps(
            {
                "taskHubName": self.hub,
                "connectionName": None,
                "creationUrls": {
                    "createNewInstancePostUri": f"{start}?code={self.code}",
                    "createAndWaitOnNewInstancePostUri": f"{start}?{wait}&code={self.code}",
                },
                "managementUrls": self.of("INSTANCEID"),
                "baseUrl": base,
                "requiredQueryStringParameters": f"code={self.code}",
                "rpcBaseUrl": f"{self.rpc_origin}/durabletask/",
            }
        )
