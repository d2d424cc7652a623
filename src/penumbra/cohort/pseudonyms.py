"""Names of patients replaced by a keyed hash."""

import os
import re

from penumbra.base.refusal import Refusal

PSEUDONYM = re.compile(r"p[0-9a-f]{16}")


def pseudonym(patient: str, *, center: str, key: str) -> str:
    """Replace a patient's name by the first 16 hex digits of an HMAC-SHA256: the same for the same key, and irreversible without it.

    Parameters
    ----------
    patient, center
        Names.
    key
        At least 16 characters.

    Returns
    -------
    str
        "p" and 16 hex digits.

    Raises
    ------
    Refusal
        `pseudonym_key: a key of 5 characters. ...`.
    """
    return "p" + _hmac(key, f"{center}\x1f{patient}")[:16]


def key_fingerprint(key: str) -> str:
    """What a home remembers of its pseudonym key: an HMAC-SHA256 of a constant, which is nobody's pseudonym.

    Parameters
    ----------
    key
        The pseudonym key, at least 16 characters.

    Returns
    -------
    str
        64 hex digits.

    Raises
    ------
    Refusal
        `pseudonym_key`.
    """
    return _hmac(key, "penumbra pseudonym key")


def _hmac(key: str, text: str) -> str:
    import hashlib
    import hmac

    if len(key) < 16:
        raise Refusal("pseudonym_key", f"a key of {len(key)} characters", "Set PENUMBRA_PSEUDONYM_KEY to at least 16 characters, and keep them")
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def pseudonym_key_from_environment() -> str | None:
    """Read the pseudonym key from PENUMBRA_PSEUDONYM_KEY.

    Returns
    -------
    str | None
        None where names stay as they arrive.
    """
    return os.environ.get("PENUMBRA_PSEUDONYM_KEY") or None
