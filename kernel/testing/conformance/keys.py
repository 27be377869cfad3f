"""What every `Keys` must do."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest

from kernel.contracts.keys import InvalidToken, Keys

PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "k", "oth"}


class KeysContract:
    """Subclass it, name the class ``Test…`` and override ``kernel_options``."""

    @pytest.fixture
    def kernel_options(self) -> dict[str, Any]:
        """Return the arguments of ``make_kernel``: at least the plugin that provides `Keys`."""
        raise NotImplementedError("override kernel_options")

    @pytest.fixture
    def keys(self, kernel: Any) -> Keys:
        """Return the tested keys."""
        keys: Keys = kernel.services[Keys]
        return keys

    def claims(self, kernel: Any, **claims: Any) -> dict[str, Any]:
        """Return the claims of a token that is good for a minute of the kernel's clock."""
        now = int(kernel.clock.now().timestamp())
        return {"role": "authenticated", "iat": now, "exp": now + 60, **claims}

    @pytest.mark.parametrize("role", ["anon", "service_role"])
    def test_an_api_key_stands_for_its_role(self, keys: Keys, role: str) -> None:
        """And for nobody in particular."""
        identity = keys.verify(keys.api_key(role))
        assert (identity.role, identity.subject) == (role, None)

    def test_there_are_no_other_api_keys(self, keys: Keys) -> None:
        """KeyError."""
        with pytest.raises(KeyError):
            keys.api_key("root")

    def test_a_signed_token_tells_role_subject_and_claims(self, kernel: Any, keys: Keys) -> None:
        """As they were signed."""
        claims = self.claims(kernel, sub="ann-1", plan={"seats": 3})
        for _ in range(2):
            identity = keys.verify(keys.sign(claims))
            assert (identity.role, identity.subject, identity.claims["plan"]) == (
                "authenticated",
                "ann-1",
                {"seats": 3},
            )

    def test_a_token_ends_when_it_says_also_where_it_was_verified_before(
        self, kernel: Any, keys: Keys
    ) -> None:
        """By the kernel's clock."""
        token = keys.sign(self.claims(kernel))
        keys.verify(token)
        kernel.clock.advance(timedelta(hours=1))
        with pytest.raises(InvalidToken):
            keys.verify(token)

    def test_a_token_does_not_begin_before_it_says(self, kernel: Any, keys: Keys) -> None:
        """``nbf`` counts."""
        later = int(kernel.clock.now().timestamp()) + 3600
        with pytest.raises(InvalidToken):
            keys.verify(keys.sign(self.claims(kernel, nbf=later, exp=later + 60)))

    def test_a_changed_token_is_not_believed(self, kernel: Any, keys: Keys) -> None:
        """Neither with other claims, nor with another signature, nor with none."""
        header, payload, signature = keys.sign(self.claims(kernel)).split(".")
        root = _encoded(self.claims(kernel, role="service_role"))
        unsigned = _encoded({"alg": "none", "typ": "JWT"})
        turned = ("A" if signature[0] != "A" else "B") + signature[1:]
        for token in (
            f"{header}.{root}.{signature}",
            f"{header}.{payload}.{turned}",
            f"{header}.{payload}.",
            f"{unsigned}.{root}.",
            f"{unsigned}.{root}.{signature}",
            f"{header}.{payload}",
        ):
            with pytest.raises(InvalidToken):
                keys.verify(token)

    @pytest.mark.parametrize(
        "token",
        [
            "",
            ".",
            "..",
            "a.b.c",
            "sb_secret_nothing",
            "sb_publishable_",
            "é",
            "\x00",
            "x" * 20_000,
            "e30.e30.e30",
        ],
    )
    def test_nonsense_is_an_invalid_token_and_nothing_worse(self, keys: Keys, token: str) -> None:
        """Whatever a client sends."""
        with pytest.raises(InvalidToken) as raised:
            keys.verify(token)
        assert str(raised.value)

    def test_public_keys_hold_nothing_private(self, keys: Keys) -> None:
        """And no shared secret at all."""
        for key in keys.public_keys():
            assert key["kty"] != "oct"
            assert not PRIVATE_MEMBERS & set(key)


def _encoded(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
