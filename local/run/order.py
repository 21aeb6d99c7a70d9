"""The application that the demonstration orders."""

import uuid
from typing import Any

_NAMESPACE = uuid.UUID("c9ad3a52-4c3b-4c63-9ccf-7a0a2f9c5d11")


def body(name: str) -> dict[str, Any]:
    """Return the body of `POST /api/requests`."""
    return {
        "name": name,
        "archetype": "api",
        "description": "Card payments for the web shop",
        "ownerTeam": "payments",
        "contact": "payments@example.com",
        "environments": ["dev"],
        "region": "westeurope",
        "costCenter": "CC-1001",
        "dataClassification": "internal",
        "criticality": "high",
        "monthlyBudget": 900,
        "currency": "EUR",
        "parameters": {"database": "postgres", "publicEndpoint": True},
        "expiresOn": None,
    }


def idempotency_key(name: str) -> str:
    """Return the key of this order: the same name gives the same key, so that a repeat is recognised as one."""
    return str(uuid.uuid5(_NAMESPACE, name))
