"""Whose work a delivery is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.tenants import tenant_of
from engine.workflow.names import tenant_name

OWNER = {"repository": {"owner": {"login": "owner"}}}
ORGANIZATION = {"organization": {"login": "organization"}}
INSTALLATION = {"installation": {"id": 42}}
SENDER = {"sender": {"login": "sender"}}


@pytest.mark.parametrize(
    ("payload", "tenant"),
    [
        (SENDER | INSTALLATION | ORGANIZATION | OWNER, "owner"),
        (SENDER | INSTALLATION | ORGANIZATION, "organization"),
        (SENDER | INSTALLATION, "installation-42"),
        (SENDER, "sender"),
        ({}, "default"),
        ({"repository": None, **SENDER}, "sender"),
        ({"repository": {"owner": {"login": " "}}, **ORGANIZATION}, "organization"),
        ({"sender": {"login": "dependabot[bot]"}}, "dependabot-bot-"),
        ({"sender": {"login": "x" * 300}}, "x" * 100),
    ],
)
def test_the_first_that_is_named_is_the_tenant(payload: dict[str, Any], tenant: str) -> None:
    assert tenant_of(payload) == tenant


@given(st.text())
def test_any_login_gives_a_tenant_that_can_be_used(login: str) -> None:
    tenant = tenant_of({"sender": {"login": login}})
    assert tenant_name(tenant) == tenant
