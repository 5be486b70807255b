"""Keyed hashes of personal values.

A value becomes a keyed hash (BLAKE2b, 64 bits). The key stays with its owner: in the environment of what fits profiles and of
what serves the model. Without it the few million values that an address or a number can have would be found by trying them all,
which is why nothing is hashed without a key.
"""

from __future__ import annotations


def conceal(text: str, key: str, *, size_bytes: int = 8) -> str:
    """Return hexadecimal digits that stand for *text* under *key*: equal texts have equal ones."""
    return _hash(text, key, size_bytes)


def key_id(key: str) -> str:
    """Return 8 hexadecimal digits that tell one key from another and say nothing else of it; ``""`` for no key."""
    return _hash("", key, 4) if key else ""


def _hash(text: str, key: str, size: int) -> str:
    import hashlib  # 5 ms of import, and most processes conceal nothing

    secret = key.encode("utf-8", "surrogatepass")
    if len(secret) > hashlib.blake2b.MAX_KEY_SIZE:
        secret = hashlib.blake2b(secret).digest()
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=secret, digest_size=size).hexdigest()
