"""Print the documents of a YAML file as one JSON list: `opa eval --input` reads the first document only."""

import json
import sys
from pathlib import Path

import yaml

documents = yaml.safe_load_all(Path(sys.argv[1]).read_text(encoding="utf-8"))
json.dump([document for document in documents if document], sys.stdout)
