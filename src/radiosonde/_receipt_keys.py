"""Signing keys of receipts: the first signs, all verify, so that keys can be rotated.

No ``repr`` or message shows a secret. Only the state of its hash is kept.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import hmac
import re
from collections.abc import Iterable

from radiosonde.errors import ConfigurationError

SHORTEST_BYTES = 16
"""Bytes of the shortest secret: as many as the tag has, so that neither is the weaker one."""

TAG_CHARACTERS = 22
"""Characters of a tag: the first 16 bytes of an HMAC-SHA256, base64url without padding."""

MAKE_ONE = """python -c "import secrets; print('k1=' + secrets.token_hex(32))\""""
"""Command that creates a key, for messages."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,8}")
_TAG_BYTES = 16


class ReceiptKeys:
    """Keys by id; immutable, for any thread.

    Args:
        secrets: (key id, secret) pairs; the first signs.

    Attributes:
        signing: id of the key that signs.
        ids: all of them, in order.

    Raises:
        ConfigurationError: no key is given, an id is invalid or given twice, or a secret is shorter than 16 bytes.
    """

    def __init__(self, secrets: Iterable[tuple[str, bytes]]) -> None:
        self._states: dict[str, hmac.HMAC] = {}
        for name, secret in secrets:
            if _ID.fullmatch(name) is None:
                raise ConfigurationError(
                    "a receipt key's id is not 1 to 8 letters, digits, '_' or '-'; write "
                    'RADIOSONDE_RECEIPT_KEYS="k2=SECRET,k1=SECRET"'
                )
            if name in self._states:
                raise ConfigurationError(f"the receipt key {name!r} is given twice; give each key an id of its own")
            if len(secret) < SHORTEST_BYTES:
                raise ConfigurationError(
                    f"the secret of receipt key {name!r} has {len(secret)} bytes, {SHORTEST_BYTES} are the least; "
                    f"make one with: {MAKE_ONE}"
                )
            self._states[name] = hmac.new(secret, digestmod=hashlib.sha256)
        if not self._states:
            raise ConfigurationError(
                f"no receipt key is given; set RADIOSONDE_RECEIPT_KEYS to what this prints: {MAKE_ONE}"
            )
        self.ids = tuple(self._states)
        self.signing = self.ids[0]

    @classmethod
    @functools.lru_cache(maxsize=8)
    def parse(cls, text: str) -> ReceiptKeys:
        """Return the keys in ``"k2=SECRET,k1=SECRET"``; the first signs, all verify.

        A secret of hexadecimal digits alone, an even number of them, is hexadecimal; any other is base64, with or without
        padding, in either alphabet.

        Raises:
            ConfigurationError: the text is no such list; the message names the key, never its secret.
        """
        pairs = []
        for place, item in enumerate(text.split(","), start=1):
            name, separator, secret = item.strip().partition("=")
            if not item.strip():
                continue
            if not separator:
                raise ConfigurationError(
                    f"receipt key number {place} is not of the form id=secret; make one with: {MAKE_ONE}"
                )
            pairs.append((name.strip(), _secret(name.strip(), secret.strip())))
        return cls(pairs)

    def tag(self, key: str, text: str) -> str:
        """Return the tag of *text*, ASCII, under the key of that id.

        Raises:
            KeyError: there is no such key.
        """
        # A copy of the keyed state costs half as much as creating it (bench_receipt).
        state = self._states[key].copy()
        state.update(text.encode("ascii"))
        return base64.urlsafe_b64encode(state.digest()[:_TAG_BYTES])[:TAG_CHARACTERS].decode("ascii")

    def __contains__(self, key: object) -> bool:
        return key in self._states

    def __repr__(self) -> str:
        return f"ReceiptKeys({', '.join(self.ids)})"


def _secret(name: str, text: str) -> bytes:
    if re.fullmatch(r"(?:[0-9A-Fa-f]{2})+", text):
        return bytes.fromhex(text)
    plain = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        shown = repr(name) if _ID.fullmatch(name) else "with an unreadable id"
        raise ConfigurationError(
            f"the secret of receipt key {shown} is neither hexadecimal nor base64; make one with: {MAKE_ONE}"
        ) from None
