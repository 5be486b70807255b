"""Keyed hashes of personal values.

A value becomes a keyed hash (BLAKE2b, 64 bits). The key is set in the environment of the processes that fit profiles and serve the model.
Without a key, the few million possible values of an address or a number could be found by brute force; therefore nothing is hashed without
one.
"""

from __future__ import annotations


def conceal(text: str, key: str, *, size_bytes: int = 8) -> str:
    """Return the keyed hash of *text* in hexadecimal digits: equal texts have equal hashes."""
    return _hash(text, key, size_bytes)


def key_id(key: str) -> str:
    """Return 8 hexadecimal digits that identify a key without revealing it; ``""`` for no key."""
    return _hash("", key, 4) if key else ""


def _hash(text: str, key: str, size: int) -> str:
    import hashlib  # 5 ms of import, and most processes conceal nothing

    secret = key.encode("utf-8", "surrogatepass")
    if len(secret) > hashlib.blake2b.MAX_KEY_SIZE:
        secret = hashlib.blake2b(secret).digest()
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=secret, digest_size=size).hexdigest()
