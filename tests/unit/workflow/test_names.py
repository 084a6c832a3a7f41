from __future__ import annotations

import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import RunNotFound
from engine.workflow.names import key_name, new_run_id, shard_of, tenant_name


@given(st.integers(0, 0xFFF))
def test_a_run_id_is_a_uuid7_that_carries_its_shard(shard: int) -> None:
    before = time.time_ns() // 1_000_000
    run_id = new_run_id(shard)
    parsed = uuid.UUID(hex=run_id)
    assert (parsed.version, parsed.variant, parsed.hex) == (7, uuid.RFC_4122, run_id)
    assert shard_of(run_id) == shard
    assert before <= int(run_id[:12], 16) <= time.time_ns() // 1_000_000


def test_run_ids_differ() -> None:
    assert len({new_run_id() for _ in range(10_000)}) == 10_000


@pytest.mark.parametrize(
    "run_id", ["", "x" * 32, "0" * 32, new_run_id() + "0", new_run_id().upper()]
)
def test_what_is_no_run_id_is_no_run(run_id: str) -> None:
    if run_id == run_id.lower() or not run_id.isdigit():
        with pytest.raises(RunNotFound):
            shard_of(run_id)


def test_names_pass_as_they_are() -> None:
    assert tenant_name(None) == "default"
    assert tenant_name("acme/eu:prod+1@x.y-z_0") == "acme/eu:prod+1@x.y-z_0"
    assert key_name(None) is None
    assert key_name("Lieferung-ß-7") == "Lieferung-ß-7"
