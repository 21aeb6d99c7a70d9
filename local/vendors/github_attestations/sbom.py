"""An SPDX document of what requirements files pin. https://spdx.github.io/spdx-spec/v2.3/."""

import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", re.MULTILINE)


def spdx(name: str, folder: Path) -> dict[str, Any]:
    """The packages of `requirements.txt`, which is what goes into the image."""
    text = (folder / "requirements.txt").read_text() if (folder / "requirements.txt").exists() else ""
    packages = [
        {
            "SPDXID": f"SPDXRef-Package-{package.lower()}",
            "name": package,
            "versionInfo": version,
            "downloadLocation": "NOASSERTION",
            "externalRefs": [
                {
                    "referenceCategory": "PACKAGE-MANAGER",
                    "referenceType": "purl",
                    "referenceLocator": f"pkg:pypi/{package.lower()}@{version}",
                }
            ],
        }
        for package, version in PIN.findall(text)
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
