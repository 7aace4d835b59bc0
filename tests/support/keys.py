"""Keys for tests: one of each role, and the setting that a server knows them by."""

from contracts.access import ROLES, key_of

KEYS = {role: f"dto_test-key-of-the-role-{role}" for role in ROLES}
SETTING = ",".join(key_of(f"the-{role}-key", role, key).setting() for role, key in KEYS.items())


def bearer(role: str) -> dict[str, str]:
    return {"authorization": f"Bearer {KEYS[role]}"}
