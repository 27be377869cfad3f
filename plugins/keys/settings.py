"""What an operator can say about keys."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from kernel import Secret


class Issuer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A third party whose tokens are believed, by its public keys."""

    issuer: Annotated[str, msgspec.Meta(min_length=1, description="The `iss` its tokens carry, exactly.")]
    jwks: Annotated[dict[str, Any], msgspec.Meta(description="Its JSON Web Key Set, written out.")] = {}
    jwks_file: Annotated[
        str, msgspec.Meta(description="A file that holds its JSON Web Key Set; relative to the project.")
    ] = ""
    audience: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="A token must name one of these as `aud`; none asks nothing."),
    ] = ()
    roles: Annotated[
        tuple[str, ...], msgspec.Meta(description="The roles it may give; a token with another is refused.")
    ] = ("authenticated",)
    leeway_seconds: Annotated[
        int, msgspec.Meta(ge=0, le=300, description="How far its clock may be from ours.")
    ] = 10


class KeysSettings(msgspec.Struct, frozen=True):
    """The section ``[keys]``."""

    jwt_secret: Annotated[
        Secret,
        msgspec.Meta(
            description="Shared secret (HS256, at least 32 bytes) instead of the random one in the data folder.",
            extra={"generate": 48},  # kernel init writes one of so many random bytes into .env
        ),
    ] = Secret("")
    signing_keys: Annotated[
        Secret,
        msgspec.Meta(
            description="JSON Web Key Set (JSON text) with private keys; the first signs, all verify. "
            "None: tokens are signed with the shared secret."
        ),
    ] = Secret("")
    signing_keys_file: Annotated[
        str, msgspec.Meta(description="A file that holds that key set; relative to the project.")
    ] = ""
    audience: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="A token of ours that has an `aud` must name one of these; none asks nothing."
        ),
    ] = ()
    issuers: Annotated[
        tuple[Issuer, ...], msgspec.Meta(description="Third parties whose tokens are believed.")
    ] = ()
    demonstration: Annotated[
        bool,
        msgspec.Meta(
            description="Use the well-known demonstration keys that everybody knows; loopback addresses only."
        ),
    ] = False
