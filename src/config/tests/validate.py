"""Says of YAML texts whether they fit a JSON Schema: an opinion that is independent of the loader's.

Reads {"schema": …, "files": [text, …]} from standard input and writes a list with one entry for each text: what is wrong with it, or null.
"""

import json
import re
import sys

import yaml
from jsonschema import Draft202012Validator


class Core(yaml.SafeLoader):
    """The core schema of YAML 1.2. PyYAML's own is that of 1.1, in which `off` is a flag and `010` is eight."""


Core.yaml_implicit_resolvers = {}
for name, pattern, first in [
    ("null", r"^(~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?[0-9]+$", list("-+0123456789")),
    ("float", r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$", list("-+.0123456789")),
]:
    Core.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(pattern), first)
Core.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))
Core.add_constructor("tag:yaml.org,2002:float", lambda loader, node: float(node.value))


def as_json(value):
    """The same with keys that are texts, as in JSON."""
    if isinstance(value, dict):
        return {str(key): as_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_json(inner) for inner in value]
    return value


def judge(validator, text):
    try:
        instance = as_json(yaml.load(text, Loader=Core))
    except (yaml.YAMLError, RecursionError) as error:
        return f"no YAML: {error}"
    errors = [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(instance)]
    return "\n".join(errors) or None


def main():
    task = json.load(sys.stdin)
    Draft202012Validator.check_schema(task["schema"])
    validator = Draft202012Validator(task["schema"])
    json.dump([judge(validator, text) for text in task["files"]], sys.stdout)


main()
