"""The manifests are a contract: a change of a column must be meant, and be seen in a diff."""

import json
import os
from pathlib import Path

import pytest

from curation.contract.manifest_table import described, manifest_table
from curation.contract.schemas import CONTRACT_VERSION, SCHEMAS

GOLDEN = Path(__file__).parent / "golden" / "schemas.json"
REGENERATE = "UPDATE_GOLDEN=1 python -m pytest tests/test_schemas.py"


def described_schemas():
    manifests = {
        name: [
            {"name": field.name, "type": str(field.type), "doc": described(field)[0], "unit": described(field)[1]}
            for field in schema
        ]
        for name, schema in SCHEMAS.items()
    }
    return {"contract_version": CONTRACT_VERSION, "manifests": manifests}


def test_schemas_are_those_that_readers_know():
    found = described_schemas()
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    known = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert found == known, f"the manifests changed; if that is meant, run `{REGENERATE}` and commit the difference"


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_column_is_explained_once(name):
    schema = SCHEMAS[name]
    assert len(set(schema.names)) == len(schema.names)
    for field in schema:
        doc, unit = described(field)
        assert doc, f"{name}.{field.name} has no doc"
        assert "\n" not in doc + unit
    assert schema.metadata[b"manifest"].decode() == name


def test_readme_table_has_every_column():
    text = manifest_table()
    for name, schema in SCHEMAS.items():
        assert f"**{name}**" in text
        for field in schema:
            assert f"| `{field.name}` |" in text
    assert all(line.count(" | ") >= 3 for line in text.splitlines() if line.startswith("| `"))


def test_the_readme_has_the_table_of_these_schemas() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert manifest_table() in readme, "paste what `python -m curation.contract.manifest_table` prints into README.md"
