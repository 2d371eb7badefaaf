"""Validates the Prometheus operator's own resources, which the Kubernetes schemas don't have.

  crds.py RENDERED.yaml...     prints what is wrong, and fails then

The schemas are those of the operator's CRDs, as the models in requirements.txt carry them, made strict: an API server drops a
field that it doesn't know, and here it is an error.
"""

import sys

import jsonschema
import yaml
from cloudcoil.models.prometheus_operator.v1 import PodMonitor, PrometheusRule

MODELS = {"PodMonitor": PodMonitor, "PrometheusRule": PrometheusRule}
GROUP = "monitoring.coreos.com/"


def strict(schema):
    """Unknown fields refused, wherever the known ones are listed."""
    if isinstance(schema, dict):
        if "properties" in schema and "additionalProperties" not in schema:
            schema["additionalProperties"] = False
        for part in schema.values():
            strict(part)
    elif isinstance(schema, list):
        for part in schema:
            strict(part)
    return schema


def validators():
    # Not by the type checks of the models themselves: those take "yes" for true.
    return {kind: jsonschema.Draft202012Validator(strict(model.model_json_schema(by_alias=True))) for kind, model in MODELS.items()}


def offences(objects, known):
    for one in filter(None, objects):
        if not one["apiVersion"].startswith(GROUP):
            continue
        name = f"{one['kind']} {one['metadata']['name']}"
        if one["apiVersion"] != f"{GROUP}v1" or one["kind"] not in known:
            yield f"{name}: there is no schema for {one['apiVersion']} {one['kind']} here"
            continue
        for error in known[one["kind"]].iter_errors(one):
            # An optional field is "this or null": what is wrong with "this" lies further in.
            error = jsonschema.exceptions.best_match([error])
            yield f"{name}: {error.json_path}: {error.message}"


def main():
    failed, known = False, validators()
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as rendered:
            for offence in offences(yaml.safe_load_all(rendered), known):
                print(f"{path}: {offence}", file=sys.stderr)
                failed = True
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
