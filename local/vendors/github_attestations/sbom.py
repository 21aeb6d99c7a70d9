"""An SPDX document of what the locks of a repository pin. https://spdx.github.io/spdx-spec/v2.3/."""

import hashlib
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)


def spdx(name: str, folder: Path) -> dict[str, Any]:
    """The packages of `requirements.txt` or of `package-lock.json`: what goes into the image."""
    pins, text = _pins(folder)
    packages = [
        {
            "SPDXID": f"SPDXRef-Package-{re.sub(r'[^a-z0-9.]+', '-', package.lower())}",
            "name": package,
            "versionInfo": version,
            "downloadLocation": "NOASSERTION",
            "externalRefs": [
                {
                    "referenceCategory": "PACKAGE-MANAGER",
                    "referenceType": "purl",
                    "referenceLocator": f"pkg:{kind}/{package.lower()}@{version}",
                }
            ],
        }
        for kind, package, version in pins
    ]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": f"https://github.com/{name}/sbom/{hashlib.sha256(text.encode()).hexdigest()}",
        "creationInfo": {"created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: local"]},
        "packages": packages,
    }


def _pins(folder: Path) -> tuple[list[tuple[str, str, str]], str]:
    """Type, name and version of each package, and the text that says so."""
    python, node = folder / "requirements.txt", folder / "package-lock.json"
    if node.is_file():
        text = node.read_text()
        entries = {name: entry for name, entry in json.loads(text)["packages"].items() if name and not entry.get("dev")}
        return [("npm", name.rpartition("node_modules/")[2], entry["version"]) for name, entry in entries.items()], text
    text = python.read_text() if python.is_file() else ""
    return [("pypi", name, version) for name, version in PIN.findall(text)], text
