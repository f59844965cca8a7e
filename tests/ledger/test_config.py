"""Settings: where they come from, and one sentence about each that cannot be."""

import os
from pathlib import Path

import pytest

from ledger.config import BadConfiguration, Config, default_data_folder, read_config


def test_without_any_setting_everything_has_a_default() -> None:
    """The embedded server, this machine only."""
    found = read_config(environ={}, data="/somewhere")
    assert found == Config(data=Path("/somewhere"), keys=Path("/somewhere/keys"))
    assert (found.public_url, found.public_url_given) == ("http://127.0.0.1:8080", False)


def test_a_flag_counts_more_than_a_variable(tmp_path: Path) -> None:
    """And a variable more than a default; an empty variable is none."""
    environ = {
        "SCIM_LEDGER_DATA": str(tmp_path / "from-environment"),
        "SCIM_LEDGER_KEYS": str(tmp_path / "keys"),
        "SCIM_LEDGER_PORT": "8081",
        "SCIM_LEDGER_WORKERS": "2",
        "SCIM_LEDGER_PUBLIC_URL": "",
    }
    found = read_config(environ=environ, port=8082)
    assert (found.data, found.keys) == (tmp_path / "from-environment", tmp_path / "keys")
    assert (found.port, found.workers, found.public_url) == (8082, 2, "http://127.0.0.1:8082")


def test_every_setting_has_a_variable(tmp_path: Path) -> None:
    """Containers have no flags."""
    values: dict[str, object] = {
        "data": tmp_path,
        "keys": tmp_path,
        "database_url": "postgres://app:s%23cret@db.example.com:5433/ledger?sslmode=require",
        "public_url": "https://scim.example.com/idp",
        "host": "::",
        "port": 9000,
        "workers": 3,
        "trusted_proxies": 2,
        "body_bytes_max": 2_000_000,
        "bulk_body_bytes_max": 3_000_000,
    }
    environ = {f"SCIM_LEDGER_{name.upper()}": str(value) for name, value in values.items()}
    found = read_config(environ=environ)
    assert found == Config(public_url_given=True, **values)  # type: ignore[arg-type]
    assert set(values) | {"public_url_given"} == set(Config.__struct_fields__)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::", "http://127.0.0.1:8080"),
        ("::1", "http://[::1]:8080"),
        ("scim.internal", "http://scim.internal:8080"),
    ],
)
def test_without_a_public_url_it_is_where_we_listen(host: str, url: str) -> None:
    """Nobody can be told to go to every address."""
    assert read_config(environ={}, host=host).public_url == url


def test_a_public_url_loses_its_last_slash() -> None:
    """Paths are put behind it."""
    assert read_config(environ={}, public_url="https://scim.example.com/").public_url == "https://scim.example.com"


def test_what_kubernetes_says_about_a_service_of_our_name_is_not_for_us() -> None:
    """It sets this variable in every pod of the namespace."""
    assert read_config(environ={"SCIM_LEDGER_PORT": "tcp://10.0.0.11:8080"}).port == 8080


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("port", "http", "port must be a whole number, not 'http'"),
        ("port", "0", "port must be from 1 to 65535, not 0"),
        ("port", 65_536, "port must be from 1 to 65535, not 65536"),
        ("port", "8_080", "port must be a whole number, not '8_080'"),
        ("workers", 0, "workers must be from 1 to 64, not 0"),
        ("workers", "-1", "workers must be from 1 to 64, not -1"),
        ("workers", "1.5", "workers must be a whole number, not '1.5'"),
        ("trusted_proxies", "all", "trusted proxies must be a whole number, not 'all'"),
        ("body_bytes_max", "1", "body bytes max must be from 1024 to 1073741824, not 1"),
        ("bulk_body_bytes_max", "x", "bulk body bytes max must be a whole number, not 'x'"),
        (
            "host",
            "http://localhost",
            "host must be a name or an address to listen on, not 'http://localhost'",
        ),
        (
            "database_url",
            "mysql://root:secret@db/x",
            "the database URL must begin with postgresql://, not with mysql://",
        ),
        (
            "database_url",
            "host=db password=secret",
            "the database URL must begin with postgresql://, not with something else",
        ),
        (
            "public_url",
            "scim.example.com",
            "the public URL must look like https://scim.example.com, not 'scim.example.com'",
        ),
        ("public_url", "https://", "the public URL must look like https://scim.example.com, not 'https://'"),
        (
            "public_url",
            "https://h/?a=1",
            "the public URL must look like https://scim.example.com, not 'https://h/?a=1'",
        ),
        (
            "public_url",
            "https://h:99999",
            "the public URL must look like https://scim.example.com, not 'https://h:99999'",
        ),
        ("public_url", 'https://h/"x', "the public URL holds a character that no URL has"),
        ("data", "a\0b", "data folder: a path holds no NUL"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_sentence(setting: str, value: object, sentence: str) -> None:
    """The same by flag and by variable; a password is never repeated."""
    with pytest.raises(BadConfiguration) as refused:
        read_config(environ={}, **{setting: value})  # type: ignore[arg-type]
    assert str(refused.value) == sentence
    with pytest.raises(BadConfiguration) as refused:
        read_config(environ={f"SCIM_LEDGER_{setting.upper()}": str(value)})
    assert str(refused.value) == sentence


def test_a_database_url_that_cannot_be_read_keeps_its_password() -> None:
    """It may be in a log next."""
    with pytest.raises(BadConfiguration, match="the database URL cannot be read") as refused:
        read_config(environ={}, database_url="postgresql://app:secret%zz@db/ledger")
    assert "secret" not in str(refused.value)


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    """Also when the file is somewhere on the way."""
    (tmp_path / "file").touch()
    for given in (tmp_path / "file", tmp_path / "file" / "below"):
        for name, flags in {"data folder": {"data": given}, "keys folder": {"keys": given}}.items():
            with pytest.raises(BadConfiguration) as refused:
                read_config(environ={}, **flags)  # type: ignore[arg-type]
            assert str(refused.value) == f"{name}: {tmp_path / 'file'} is a file, not a folder"


def test_the_default_folder_is_the_systems_for_root_and_ones_own_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A relative XDG_DATA_HOME is to be ignored, says the specification."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_data_folder({"XDG_DATA_HOME": "/x"}) == Path("/var/lib/scim-ledger")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert default_data_folder({"XDG_DATA_HOME": "/x"}) == Path("/x/scim-ledger")
    own = Path("~/.local/share/scim-ledger").expanduser()
    assert [default_data_folder(environ) for environ in ({}, {"XDG_DATA_HOME": "x"})] == [own, own]
