"""Making the keys of one run; they are never written to a disk but in its containers."""

from __future__ import annotations

from dgrid.plan.ssh import RunKeys


def make_run_keys(session: str) -> RunKeys:
    """Two ed25519 key pairs, of the user and of the hosts; a tenth of a millisecond."""
    user_private, user_public = _pair(f"dgrid run {session}")
    host_private, host_public = _pair(f"dgrid run {session} host")
    return RunKeys(user_private, user_public, host_private, host_public)


def _pair(comment: str) -> tuple[bytes, str]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return private, f"{public} {comment}"
