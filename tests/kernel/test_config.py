from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel import Secret
from kernel.config import Config, KernelSettings, SecretURL, hidden, schema
from kernel.errors import ConfigError


class Relay(msgspec.Struct, frozen=True):
    host: str
    port: int = 25


class MailSettings(msgspec.Struct, frozen=True):
    sender: str
    retries: Annotated[int, msgspec.Meta(ge=0, le=9)] = 3
    dry: bool = False
    password: Secret = Secret("")
    domains: tuple[str, ...] = ()
    relay: Relay | None = None
    pause: float = 0.5


def load(folder: Path, toml: str = "", **environ: str) -> Config:
    (folder / "kernel.toml").write_text(toml)
    return Config.load(folder, environ)


def test_values_come_from_the_file_then_the_environment(tmp_path: Path) -> None:
    toml = '[mail]\nsender = "a@b.c"\nretries = 1\n[mail.relay]\nhost = "here"\nport = 1\n'
    config = load(tmp_path, toml, KERNEL_MAIL__RETRIES="2", KERNEL_MAIL__RELAY__PORT="26", OTHER="x")
    assert config.settings("mail", MailSettings) == MailSettings(
        sender="a@b.c", retries=2, relay=Relay("here", 26)
    )
    assert [config.source("mail", key) for key in ("retries", "sender", "dry")] == [
        "KERNEL_MAIL__RETRIES",
        "kernel.toml",
        "default",
    ]


def test_dotenv_comes_between_the_file_and_the_environment(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("KERNEL_MAIL__SENDER=dotenv\nKERNEL_MAIL__RETRIES=5\n")
    config = load(tmp_path, '[mail]\nsender = "file"\nretries = 1', KERNEL_MAIL__RETRIES="7")
    assert config.settings("mail", MailSettings) == MailSettings(sender="dotenv", retries=7)


def test_a_missing_file_is_an_empty_one(tmp_path: Path) -> None:
    assert Config.load(tmp_path, {}).settings("kernel", KernelSettings) == KernelSettings()


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("true", "dry", True),
        ("0", "dry", False),
        ("0.25", "pause", 0.25),
        ("hush", "password", Secret("hush")),
        ("123", "password", Secret("123")),
        ('["a", "b"]', "domains", ("a", "b")),
        ('{"host": "there", "port": 5}', "relay", Relay("there", 5)),
        ("true", "sender", "true"),
        ("[1]", "sender", "[1]"),
    ],
)
def test_variables_are_read_by_the_fields_type(tmp_path: Path, text: str, field: str, value: Any) -> None:
    environ = {"KERNEL_MAIL__SENDER": "x", f"KERNEL_MAIL__{field.upper()}": text}
    read = Config({}, environ, project=tmp_path).settings("mail", MailSettings)
    assert getattr(read, field) == value


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            'sendr = "x"',
            r"kernel\.toml: \[mail\] sendr: unknown setting; did you mean 'sender'\? \(known: doma",
        ),
        ("sender = 1", r"kernel\.toml: \[mail\] sender: Expected `str`, got `int`"),
        ('sender = "x"\nretries = "3"', r"\[mail\] retries: Expected `int`, got `str`"),
        ('sender = "x"\nretries = 10', r"\[mail\] retries: Expected `int` <= 9"),
        ('sender = "x"\npassword = 5', r"\[mail\] password: Expected str, got int"),
        ('sender = "x"\nrelay.port = 5', r"\[mail\] relay: .*missing required field `host`"),
        ("retries = 3", r"kernel\.toml: \[mail\] sender is missing; plugin 'mail' needs it"),
    ],
)
def test_a_wrong_setting_names_file_key_type_and_the_nearest(tmp_path: Path, line: str, message: str) -> None:
    config = load(tmp_path, f"[mail]\n{line}\n")
    with pytest.raises(ConfigError, match=message) as raised:
        config.settings("mail", MailSettings)
    assert str(tmp_path / "kernel.toml") in str(raised.value)


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("KERNEL_MAIL__RETRYS", "3", r"KERNEL_MAIL__RETRYS: unknown setting; did you mean 'retries'\?"),
        ("KERNEL_MAIL__RETRIES", "many", "KERNEL_MAIL__RETRIES: Expected `int`, got `str`"),
        ("KERNEL_MAIL__RETRIES", "11", "KERNEL_MAIL__RETRIES: Expected `int` <= 9"),
        ("KERNEL_MAIL__DOMAINS", "a,b", "KERNEL_MAIL__DOMAINS: Expected `array`, got `str`"),
        ("KERNEL_MAIL__RELAY__PRT", "3", r"KERNEL_MAIL__RELAY: .*missing required field `host`"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, variable: str, text: str, message: str) -> None:
    environ = {"KERNEL_MAIL__SENDER": "x", variable: text}
    with pytest.raises(ConfigError, match=message):
        Config({}, environ, project=tmp_path).settings("mail", MailSettings)


def test_a_wrong_secret_does_not_show_itself(tmp_path: Path) -> None:
    class Strict(msgspec.Struct):
        pin: Secret

    for table in ({"pin": ["hunter2"]}, {"pin": {"deep": "hunter2"}}):
        with pytest.raises(ConfigError, match="pin") as raised:
            Config({"vault": table}, project=tmp_path).settings("vault", Strict)
        assert "hunter2" not in str(raised.value)


def test_a_plugin_without_settings_says_so(tmp_path: Path) -> None:
    class Nothing(msgspec.Struct):
        pass

    with pytest.raises(ConfigError, match=r"\[quiet\] loud: unknown setting \(this plugin has no settings\)"):
        Config({"quiet": {"loud": 1}}, project=tmp_path).settings("quiet", Nothing)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[mail\n", "not valid TOML"),
        (b"\xff\xfe", "not valid TOML"),
        (b"port = 1\n", r"'port' stands outside a section; write it under \[kernel\]"),
        (b"[[mail]]\nsender = 'x'\n", "'mail' stands outside a section"),
    ],
)
def test_a_broken_file_is_one_clear_error(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "kernel.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=message) as raised:
        Config.load(tmp_path, {})
    assert str(raised.value).startswith(str(tmp_path / "kernel.toml"))
    assert "\n" not in str(raised.value)


def test_a_file_that_is_a_folder_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "kernel.toml").mkdir()
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        Config.load(tmp_path, {})


def test_a_section_or_variable_of_nobody_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[rset\] belongs to no installed plugin; did you mean 'rest'\?"):
        Config({"rset": {}}, project=tmp_path).check_sections(["rest", "mail"])
    with pytest.raises(
        ConfigError, match=r"KERNEL_RSET__ROWS: no installed plugin is called 'rset'; did you mean 'rest'\?"
    ):
        Config({}, {"KERNEL_RSET__ROWS": "1"}, project=tmp_path).check_sections(["rest", "mail"])
    Config({"rest": {}, "kernel": {}, "plugins": {}, "provide": {}}, project=tmp_path).check_sections(
        ["rest"]
    )


def test_provide_is_read_from_both_and_names_plugins(tmp_path: Path) -> None:
    config = Config({"provide": {"Cache": "redis"}}, {"KERNEL_PROVIDE__Keys": "mine"}, project=tmp_path)
    assert config.provide() == {"Cache": "redis", "Keys": "mine"}
    with pytest.raises(ConfigError, match=r"\[provide\] Cache must name a plugin in quotes"):
        Config({"provide": {"Cache": 1}}, project=tmp_path).provide()


def test_variables_that_are_not_ours_are_left_alone() -> None:
    environ = {
        "KERNEL_CI": "1",
        "KERNEL__X": "1",
        "KERNEL_MAIL__": "1",
        "XKERNEL_MAIL__A": "1",
        "KERNEL_": "1",
    }
    assert Config({}, environ).variables == {}


def test_a_secret_hides_itself_and_compares_by_value() -> None:
    secret = Secret("hush")
    assert (repr(secret), str(secret), f"{secret}") == ("Secret('********')",) * 3
    assert secret.reveal() == "hush"
    assert (repr(Secret("")), bool(Secret("")), bool(secret)) == ("Secret('')", False, True)
    assert (secret == Secret("hush"), secret == Secret("other"), secret == "hush") == (True, False, False)
    assert hash(secret) == hash(Secret("hush"))


def test_showing_settings_hides_secrets_and_keeps_the_rest() -> None:
    shown = hidden(MailSettings(sender="x", password=Secret("hush"), relay=Relay("h")))
    assert shown == {
        "sender": "x",
        "retries": 3,
        "dry": False,
        "password": "********",
        "domains": (),
        "relay": {"host": "h", "port": 25},
        "pause": 0.5,
    }
    assert hidden(MailSettings(sender="x"))["password"] == ""


def test_the_schema_knows_every_section_and_refuses_unknown_keys() -> None:
    document = schema({"mail": MailSettings})
    assert set(document["properties"]) == {"kernel", "plugins", "mail", "provide"}
    assert document["additionalProperties"] is False
    mail = document["$defs"]["MailSettings"]
    assert mail["required"] == ["sender"]
    assert mail["additionalProperties"] is False
    assert mail["properties"]["password"]["type"] == "string"
    json.dumps(document)


FIELDS = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9]{0,6}(_[a-z0-9]{1,5})?", fullmatch=True), st.text(max_size=20), max_size=6
)


@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True), FIELDS, max_size=4))
def test_every_variable_reaches_its_section_and_key(sections: dict[str, dict[str, str]]) -> None:
    environ = {
        f"KERNEL_{section.upper()}__{key.upper()}": text
        for section, fields in sections.items()
        for key, text in fields.items()
    }
    assert Config({}, environ).variables == {name: fields for name, fields in sections.items() if fields}


def refusal(environ: dict[str, str]) -> str:
    """Return the error that an environment makes, or nothing."""
    try:
        config = Config({}, environ)
        config.check_sections(["mail"])
        config.settings("mail", MailSettings)
        config.provide()
    except ConfigError as error:
        return str(error) or "no text"
    return ""


@given(st.dictionaries(st.from_regex(r"(KERNEL_)?[A-Za-z_0-9]{0,20}", fullmatch=True), st.text(max_size=30)))
def test_no_environment_can_do_worse_than_a_clear_error(environ: dict[str, str]) -> None:
    assert "\n" not in refusal(environ)


TEXTS = st.text(max_size=30) | st.sampled_from(["[]", "{}", '{"host": 1}', "1e999", "nan", "-0", "[" * 5000])


@given(st.sampled_from(MailSettings.__struct_fields__), TEXTS)
@settings(max_examples=300)
def test_any_text_for_a_known_variable_is_a_value_or_a_clear_error(field: str, text: str) -> None:
    variable = f"KERNEL_MAIL__{field.upper()}"
    problem = refusal({"KERNEL_MAIL__SENDER": "x", variable: text})
    assert problem == "" or problem.startswith(f"{variable}: ")
    assert field not in ("sender", "password") or problem == ""


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///kernel.db", "sqlite:///kernel.db"),
        ("postgresql://db:5432/app", "postgresql://db:5432/app"),
        ("postgresql://ann@db/app", "postgresql://ann@db/app"),
        (
            "postgresql://ann:s3@cr:t@db:5432/app?sslmode=require",
            "postgresql://ann:********@db:5432/app?sslmode=require",
        ),
        (
            "postgresql:///app?user=ann&password=s3cret&host=db",
            "postgresql:///app?user=ann&password=********&host=db",
        ),
        ("postgresql:///app?sslpassword=s3cret", "postgresql:///app?sslpassword=********"),
    ],
)
def test_a_secret_url_hides_its_password_alone(url: str, shown: str) -> None:
    secret = SecretURL(url)
    assert secret.shown == shown
    assert repr(secret) == f"SecretURL({shown!r})"
    assert secret.reveal() == url
