"""Reads what Crossfoot writes as others read it.

check.py openmetrics FILE: parses it as OpenMetrics, strictly; prints name, type and unit of each family, and its samples.
check.py json FILE SCHEMA: validates it against the schema, and the schema as such.
"""

import json
import sys


def openmetrics(path):
    from prometheus_client.openmetrics import parser

    with open(path) as file:
        for family in parser.text_fd_to_metric_families(file):
            print("family", family.name, family.type, family.unit)
            if not family.documentation:
                sys.exit(f"{family.name} has no help")
            for sample in family.samples:
                labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
                print("sample", sample.name, labels or "-", repr(float(sample.value)))


def validate(path, schema):
    import jsonschema

    with open(path) as file, open(schema) as rules:
        document, rules = json.load(file), json.load(rules)
    jsonschema.Draft202012Validator.check_schema(rules)
    jsonschema.Draft202012Validator(rules).validate(document)
    print("valid")


if sys.argv[1] == "openmetrics":
    openmetrics(sys.argv[2])
else:
    validate(sys.argv[2], sys.argv[3])
