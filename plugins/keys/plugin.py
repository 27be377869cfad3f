"""The plugin: secrets prepared once, then a credential's way to an identity."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernel import Identity, Kernel, Plugin, Request, Response, Route, hookimpl, nonblocking
from kernel.contracts.keys import Keys
from kernel.contracts.signals import Signals
from kernel.errors import ConfigError
from plugins.keys import project
from plugins.keys.gateway import identify
from plugins.keys.service import KeysService
from plugins.keys.settings import KeysSettings

if TYPE_CHECKING:
    import click

TOPIC = "keys"


class KeysPlugin(Plugin):
    """API keys and token verification."""

    name = "keys"
    provides = (Keys,)
    uses = (Signals,)
    Settings = KeysSettings
    settings: KeysSettings

    def __init__(self, kernel: Kernel, settings: KeysSettings) -> None:
        super().__init__(kernel, settings)
        self.service = KeysService(settings, kernel.config.project, kernel.clock)
        self._generated: project.ProjectKeys | None = None
        self._deaf: Callable[[], None] | None = None

    @hookimpl
    def kernel_services(self) -> Mapping[type, Any]:
        """Offer `Keys`."""
        return {Keys: self.service}

    @hookimpl
    def kernel_prepare(self) -> None:
        """Read the project's secrets, and make them on the first boot."""
        self.service.open(self._secrets())

    @hookimpl
    def kernel_start(self) -> None:
        """Hear of keys that have changed in another process; check the keys in the settings."""
        signals = self.kernel.services.get(Signals)
        if signals is not None:
            self._deaf = signals.listen(TOPIC, lambda _: self.service.open(self._secrets()))
        if self.settings.issuers or self.settings.signing_keys or self.settings.signing_keys_file:
            self.service.warm()

    @hookimpl
    def kernel_ready(self) -> None:
        """Load the token library a little later, so that neither the first answer nor the first token waits."""
        self.kernel.warm_up(self.service.warm)

    @hookimpl
    @nonblocking
    def kernel_identify(self, request: Request) -> Identity | None:
        """Verify the request's credential."""
        return identify(request, self.service)

    @hookimpl
    def kernel_routes(self) -> Iterable[Route]:
        """Serve the public keys."""
        yield Route(
            "GET",
            "/.well-known/jwks.json",
            self.jwks,
            inline=True,
            summary="The public keys that tokens are signed with",
        )

    @hookimpl
    def kernel_commands(self) -> Iterable[click.Command]:
        """Offer ``kernel keys``."""
        from plugins.keys.commands import keys_group

        yield keys_group(self)

    @hookimpl
    def kernel_backup(self) -> Iterable[Path]:
        """Name the key file, if there is one: without it, all tokens and API keys in use stop working."""
        path = self.kernel.data / project.FILE_NAME
        return [path] if path.exists() else []

    @hookimpl
    def kernel_greeting(self, url: str) -> Mapping[str, Iterable[str]]:
        """Show the API keys."""
        return {
            "anon key (for browsers and apps)": [self.service.api_key("anon")],
            "service_role key (secret: may do everything; for your own servers)": [
                self.service.api_key("service_role")
            ],
        }

    @hookimpl
    def kernel_stop(self) -> None:
        """Stop listening."""
        if self._deaf is not None:
            self._deaf()

    def jwks(self, request: Request) -> Response:
        """Return the JSON Web Key Set (RFC 7517), without any shared secret."""
        return Response.json(
            {"keys": self.service.public_keys()}, headers={"cache-control": "public, max-age=600"}
        )

    def open(self) -> KeysService:
        """Return the service with the project's secrets, for a command on a kernel that has not started."""
        with self.kernel.locked():
            self.service.open(self._secrets())
        return self.service

    def _secrets(self) -> project.ProjectKeys:
        secret = self.settings.jwt_secret
        if self.settings.demonstration:
            if secret:
                raise ConfigError(
                    "[keys]: demonstration = true brings its own jwt_secret; remove one of the two"
                )
            project.check_demonstration(self.kernel.settings.host)
            return project.DEMONSTRATION
        if secret:
            project.check_secret(secret, "[keys] jwt_secret")
        keys = self._stored()
        return project.with_secret(keys, secret) if secret else keys

    def _stored(self) -> project.ProjectKeys:
        kernel = self.kernel
        if kernel.role == "test":
            if self._generated is None:
                self._generated = project.generate(kernel.random, kernel.clock.now())
            return self._generated
        path = kernel.data / project.FILE_NAME
        keys = project.load(path)
        if keys is None:
            keys = project.generate(kernel.random, kernel.clock.now())
            project.save(path, keys)
        return keys
