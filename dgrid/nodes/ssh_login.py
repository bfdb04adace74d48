"""Logging in to a node with the user's keys, and knowing the node by its own. Never asks anything."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dgrid.errors import HostKeyError, LoginError
from dgrid.nodes.known_hosts import TrustedKey
from dgrid.nodes.ssh_keys import PrivateKeys
from dgrid.nodes.ssh_settings import SshSettings

if TYPE_CHECKING:
    from paramiko import PKey, Transport


def log_in(node: str, settings: SshSettings, keys: PrivateKeys, transport: Transport) -> None:
    """Offer the keys of files, then those of the agent. Raises LoginError."""
    from paramiko import AuthenticationException, BadAuthenticationType

    accepts = "publickey"
    tried = 0
    for key in _candidates(settings, keys):
        tried += 1
        try:
            if not transport.auth_publickey(settings.user, key):
                return
        except BadAuthenticationType as error:
            accepts = ", ".join(error.allowed_types)
            break
        except AuthenticationException:
            if not transport.is_active():
                break
    raise LoginError(node, _login_refused(settings, keys, tried, accepts))


def _candidates(settings: SshSettings, keys: PrivateKeys) -> Iterable[PKey]:
    for path in settings.identity_files:
        key = keys.from_file(path)
        if key is not None:
            yield key
    if settings.use_agent:
        yield from keys.from_agent()


def _login_refused(settings: SshSettings, keys: PrivateKeys, tried: int, accepts: str) -> str:
    keys_tried = "the only key" if tried == 1 else f"any of the {tried} keys"
    text = f"ssh does not accept {keys_tried} of {settings.user}" if tried else "there is no ssh key to log in with"
    for path, why in tuple(keys.unusable.items()):
        text += f"; {path} was left out: {why}"
    if "publickey" not in accepts:
        return f"{text}; the node accepts only {accepts}. If plain ssh works, use --link openssh"
    remedy = "ssh-copy-id" if tried else "ssh-keygen -t ed25519 and ssh-copy-id"
    return f"{text}; see that `ssh -o BatchMode=yes {settings.host} true` works ({remedy} help), or use --link openssh"


def check_host_key(node: str, settings: SshSettings, trusted: tuple[TrustedKey, ...], key: PKey) -> None:
    """Compare the key the node has shown with those known for it. Raises HostKeyError."""
    name = settings.known_as
    same = [t for t in trusted if t.key_base64 == key.get_base64() and t.marker != "@cert-authority"]
    if any(t.marker == "@revoked" for t in same):
        raise HostKeyError(node, f"its ssh host key is marked as revoked for {name}; ask your administrator")
    if same:
        return
    port = f" -p {settings.port}" if settings.port != 22 else ""
    if any(t.key_type == key.get_name() and not t.marker for t in trusted):
        raise HostKeyError(
            node,
            f"its ssh host key is not the one known for {name} (it may have been reinstalled, or somebody listens in); "
            f"ask your administrator, then: ssh-keygen -R '{name}'",
        )
    if not settings.accept_unknown:
        raise HostKeyError(
            node,
            f"its ssh host key ({key.get_name()}) is unknown; if you trust this network: "
            f"ssh-keyscan{port} {settings.host} >> ~/.ssh/known_hosts",
        )
