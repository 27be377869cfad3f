"""The README's example works."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey

import plugins.keys
from kernel import Identity, Kernel, Request
from kernel.config import Config
from plugins.keys import KeysPlugin

README = (Path(plugins.keys.__file__).parent / "README.md").read_text()


def test_the_example_signs_a_ticket_that_is_believed(tmp_path: Path) -> None:
    (settings,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    (source,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict[str, Any] = {"__name__": "readme"}
    exec(source, names)
    public = ECKey.generate_key("P-256").as_dict(private=False)
    (tmp_path / "login.example.com.json").write_text(str(public).replace("'", '"'))

    config = Config(tomllib.loads(settings), project=tmp_path)
    with Kernel(config, plugins=[names["TicketsPlugin"], KeysPlugin], role="test") as kernel:
        request = Request("POST", "/tickets/v1", "", {})
        request.identity = Identity("authenticated", "u1")
        ticket = kernel.plugins["tickets"].issue(request)["ticket"]  # type: ignore[attr-defined]
        keys = kernel.plugins["keys"]
        assert isinstance(keys, KeysPlugin)
        assert keys.service.verify(ticket).role == "ticket"
