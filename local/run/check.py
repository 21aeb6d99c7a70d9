"""Commands with which a reader checks the result without trusting this program."""

import shlex
from collections.abc import Iterator
from typing import Any

from local.stack import Stack


def lines(stack: Stack, request: dict[str, Any]) -> Iterator[str]:
    """Yield the block `check it yourself`, ready to be pasted into another terminal of this checkout."""
    proxy, bundle = f"http://localhost:{stack.vendors_port}", shlex.quote(str(stack.ca_bundle))
    name = request["application"]
    yield "check it yourself"
    yield f"  export HTTPS_PROXY={proxy} SSL_CERT_FILE={bundle} CURL_CA_BUNDLE={bundle} GIT_SSL_CAINFO={bundle}"
    links = {str(title): str(url) for title, url in (request.get("links") or {}).items()}
    repository = links.get("Repository", "")
    if repository:
        yield f"  git clone {repository.replace('https://', 'https://reader:any@')}"
    for title, url in links.items():
        if title.startswith("Service"):
            yield f"  curl {url}/health"
    yield f"  curl -k https://localhost:{stack.vendors_port}/_vendors/journal"
    yield f"  curl -k https://localhost:{stack.vendors_port}/_vendors/teams"
    yield f"  make drift APP={name}"
    yield f"  make undo REQUEST={request['id']}"
