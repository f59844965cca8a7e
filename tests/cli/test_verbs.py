"""The verbs about database, tenants and tokens, beside a running service: what they print, do and refuse."""

import inspect
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from cyclopts import App
from msgspec import Struct

from cli import main
from ledger.entry import Settings
from tests.conftest import Database
from tests.running import ROOT, Client, Service

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"


class Said(Struct, frozen=True):
    """What a verb printed, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def refusal(self) -> str:
        """The one sentence of a verb that was not done."""
        assert self.out == ""
        assert self.err.startswith("scim-ledger: ")
        assert self.err.count("\n") == 1
        return self.err.removeprefix("scim-ledger: ").strip()


Say = Callable[..., Said]


@pytest.fixture
def say(service: Service, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Say:
    """Give a command line as `./scim-ledger` would get it, in the data folder of the running service."""
    monkeypatch.setenv("SCIM_LEDGER_DATA", str(service.data))
    monkeypatch.setenv("SCIM_LEDGER_TEST_POSTGRES", "1")

    def ran(*arguments: str) -> Said:
        status = main.run(arguments)
        out, err = capfd.readouterr()
        return Said(status, out, err)

    return ran


@pytest.fixture
def tenant(say: Say) -> str:
    """The name of a new tenant."""
    slug = f"t-{uuid4().hex[:12]}"
    assert say("tenant", "create", slug).status == 0
    return slug


def status_with(service: Service, slug: str, secret: str) -> int:
    """What SCIM answers to a token."""
    headers = {"Authorization": f"Bearer {secret}"}
    return httpx.get(f"{service.base_url}/scim/{slug}/v2/Users", headers=headers).status_code


def test_a_new_tenant_is_told_by_the_url_to_paste(say: Say, service: Service) -> None:
    """The running service's own address, found through the data folder; its origin has the others' authority."""
    slug = f"t-{uuid4().hex[:12]}"
    assert say("tenant", "create", slug) == Said(0, f"{service.base_url}/scim/{slug}/v2\n", "")
    second = json.loads(say("tenant", "create", f"{slug}-2", "--json").out)
    assert second["tenant_url"] == f"{service.base_url}/scim/{slug}-2/v2"
    listed = {each["slug"]: each for each in json.loads(say("tenant", "list", "--json").out)}
    authority = listed["default"]["origin"].partition("/t/")[0]
    assert second["origin"] == listed[f"{slug}-2"]["origin"]
    assert second["origin"].startswith(f"{authority}/t/")
    elsewhere = say("tenant", "create", f"{slug}-3", "--json", "--public-url", "https://scim.example.com/base/")
    third = json.loads(elsewhere.out)
    assert third["tenant_url"] == f"https://scim.example.com/base/scim/{slug}-3/v2"
    assert third["origin"].startswith("scim.example.com/t/")
    assert any(line.startswith(f"{slug} ") for line in say("tenant", "list").out.splitlines())


def test_a_token_lives_from_its_one_showing_to_its_revocation(say: Say, service: Service, tenant: str) -> None:
    """The secret alone is printed; a second after the revocation it opens nothing any more."""
    created = say("token", "create", "--tenant", tenant, "--label", "Entra ID", "--scope", "scim")
    assert (created.status, created.err, len(created.out)) == (0, "", 48)
    secret = created.out.strip()
    assert secret.startswith("slt_")
    assert status_with(service, tenant, secret) == 200
    line = say("token", "list", "--tenant", tenant).out
    assert line.split()[1:4] == ["live", "scim", "lenient"]
    assert line.rstrip().endswith("Entra ID")
    assert secret not in line
    token_id = line.split()[0]
    assert say("token", "revoke", "Entra ID", "--tenant", tenant) == Said(0, f"revoked {token_id} (Entra ID)\n", "")
    time.sleep(1.0)
    assert status_with(service, tenant, secret) == 401
    assert say("token", "list", "--tenant", tenant).out.split()[1] == "revoked"
    again = say("token", "revoke", "Entra ID", "--tenant", tenant)
    assert (again.status, again.refusal) == (1, f"tenant {tenant} has no live token Entra ID")


def test_tokens_as_json(say: Say, tenant: str) -> None:
    """For scripts: the same facts, and times as times."""
    options = ["--label", "b", "--scope", "audit,admin", "--profile", "strict", "--expires", "180d", "--json"]
    made = json.loads(say("token", "create", "--tenant", tenant, *options).out)
    assert made.keys() == {"token_id", "secret", "expires_at"}
    (listed,) = json.loads(say("token", "list", "--tenant", tenant, "--json").out)
    assert listed["token_id"] == made["token_id"]
    assert listed["scopes"] == ["audit", "admin"]
    assert listed["profile"] == "strict"
    assert "secret" not in listed
    assert listed["expires_at"].partition(".")[0] == made["expires_at"].partition(".")[0]
    revoked = json.loads(say("token", "revoke", made["token_id"], "--tenant", tenant, "--json").out)
    assert revoked["revoked_at"] is not None


def test_a_token_is_bound_to_a_user(say: Say, service: Service) -> None:
    """By userName, externalId or id; the user is there at /Me; nobody by that name is status 3."""
    client = service.new_tenant()
    body = {"schemas": [USER], "userName": "ada@contoso.example", "externalId": "ada-1"}
    made = client.scim.post("/Users", json=body).json()
    create = ["token", "create", "--tenant", client.slug, "--label", "Ada", "--scope", "scim", "--user"]
    for subject in ("Ada@contoso.example", "ada-1", made["id"]):
        secret = say(*create, subject).out.strip()
        answer = client.scim.get("/Me", headers={"Authorization": f"Bearer {secret}"})
        assert (answer.status_code, answer.json()["id"]) == (200, made["id"])
    listed = json.loads(say("token", "list", "--tenant", client.slug, "--json").out)
    assert [each["user_id"] for each in listed].count(made["id"]) == 3
    assert say(*create, "nobody@contoso.example").status == 3
    assert client.scim.delete(f"/Users/{made['id']}").status_code == 204
    assert say(*create, "ada-1").status == 3


def test_a_client_gets_its_secrets_and_loses_them(say: Say, service: Service, tenant: str) -> None:
    """Id and secrets alone are printed; two live at once; what is revoked is listed as such."""
    created = say("client", "create", "--tenant", tenant, "--label", "Gallery", "--scope", "scim,audit")
    client_id = created.out.strip()
    assert (created.status, created.err, len(client_id)) == (0, "", 36)
    assert say("client", "secret", "add", "Gallery", "--tenant", tenant, "--expires", "365d").status == 0
    secret = say("client", "secret", "add", client_id, "--tenant", tenant).out.strip()
    assert len(secret) == 47
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    answer = httpx.post(f"{service.base_url}/oauth/{tenant}/token", data=form)
    assert status_with(service, tenant, answer.json()["access_token"]) == 200
    line = say("client", "list", "--tenant", tenant).out
    assert line.split()[:4] == [client_id, "live", "scim,audit", "lenient"]
    assert line.rstrip().endswith("2 secrets  Gallery") and " used 20" in line
    listed = say("client", "secret", "list", "Gallery", "--tenant", tenant).out
    assert secret not in listed and [each.split()[1] for each in listed.splitlines()] == ["live", "live"]
    first = listed.split()[0]
    revoked = say("client", "secret", "revoke", "Gallery", first, "--tenant", tenant)
    assert revoked == Said(0, f"revoked {first}\n", "")
    secrets = json.loads(say("client", "secret", "list", "Gallery", "--tenant", tenant, "--json").out)
    assert [each["revoked_at"] is None for each in secrets] == [False, True]
    assert say("client", "revoke", "Gallery", "--tenant", tenant) == Said(0, f"revoked {client_id} (Gallery)\n", "")
    assert httpx.post(f"{service.base_url}/oauth/{tenant}/token", data=form).status_code == 401
    assert [
        each["revoked_at"] is None for each in json.loads(say("client", "list", "--tenant", tenant, "--json").out)
    ] == [False]
    assert say("token", "list", "--tenant", tenant).out == "", "access tokens are nobody's to rotate"


def test_the_secrets_of_a_revoked_client_are_listed(say: Say, tenant: str) -> None:
    """For auditors: which there were, and until when; of several revoked ones with the label the id says which."""

    def states(client: str) -> list[str]:
        return [
            line.split()[1] for line in say("client", "secret", "list", client, "--tenant", tenant).out.splitlines()
        ]

    ids = []
    for count in (1, 2):
        ids.append(say("client", "create", "--tenant", tenant, "--label", "Gallery", "--scope", "scim").out.strip())
        for _ in range(count):
            assert say("client", "secret", "add", ids[-1], "--tenant", tenant).status == 0
        assert states("Gallery") == ["live"] * count
        assert say("client", "revoke", "Gallery", "--tenant", tenant).status == 0
        if count == 1:
            assert states("Gallery") == states(ids[0]) == ["revoked"]
    assert (states(ids[0]), states(ids[1])) == (["revoked"], ["revoked"] * 2)
    refused = say("client", "secret", "list", "Gallery", "--tenant", tenant)
    assert (refused.status, refused.refusal) == (1, f"tenant {tenant} has 2 clients, name one by its id: Gallery")


def test_a_client_as_json_tells_where_its_tokens_come_from(say: Say, service: Service, tenant: str) -> None:
    made = json.loads(say("client", "create", "--tenant", tenant, "--label", "x", "--scope", "scim", "--json").out)
    assert made.keys() == {"client_id", "token_url"}
    assert made["token_url"] == f"{service.base_url}/oauth/{tenant}/token"
    added = json.loads(say("client", "secret", "add", "x", "--tenant", tenant, "--json").out)
    assert added.keys() == {"secret_id", "secret", "expires_at"}


def test_one_of_two_tokens_with_one_label_is_named_by_its_id(say: Say, service: Service, tenant: str) -> None:
    """For rotation two live at once; which one is meant is never guessed."""
    ids = []
    for _ in range(2):
        made = say("token", "create", "--tenant", tenant, "--label", "twin", "--scope", "scim", "--json")
        ids.append(json.loads(made.out)["token_id"])
    refused = say("token", "revoke", "twin", "--tenant", tenant)
    assert (refused.status, refused.refusal) == (1, f"tenant {tenant} has 2 live tokens, name one by its id: twin")
    assert say("token", "revoke", ids[0], "--tenant", tenant).status == 0
    assert [line.split()[1] for line in say("token", "list", "--tenant", tenant).out.splitlines()] == [
        "revoked",
        "live",
    ]


def test_a_setting_is_changed_told_and_followed(say: Say, service: Service) -> None:
    """Group names need not be unique any more; and have to be again only once they are."""
    client = service.new_tenant()
    switched = say("tenant", "set", client.slug, "group_names_unique", "false")
    assert switched == Said(0, f"group_names_unique of {client.slug} is false\n", "")
    time.sleep(1.0)
    ids = [group(client, "Finance") for _ in range(2)]
    refused = say("tenant", "set", client.slug, "group_names_unique", "true")
    assert refused.status == 1
    assert all(group_id in refused.refusal for group_id in ids)
    assert client.scim.delete(f"/Groups/{ids[0]}").status_code == 204
    answer = say("tenant", "set", client.slug, "group_names_unique", "true", "--json")
    assert json.loads(answer.out)["settings"]["group_names_unique"] is True


def group(client: Client, name: str) -> str:
    """Create a group and return its id."""
    answer = client.scim.post("/Groups", json={"schemas": [GROUP], "displayName": name})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


CLIENT = ["client", "create", "--tenant", "default"]
TOKEN = ["token", "create", "--tenant", "default"]
REFUSED = [
    (2, ["tenant", "create", "Acme"], "'Acme' cannot name a tenant: use 1 to 63 lower-case letters, digits and"),
    (2, ["tenant", "create"], "tenant create needs SLUG; ./scim-ledger tenant create --help tells more"),
    (1, ["tenant", "create", "default"], "there is a tenant default already"),
    (2, ["tenant", "set", "default", "colour", "red"], "there is no setting colour; there are group_names_unique, "),
    (1, ["tenant", "set", "nobody", "group_names_unique", "true"], "there is no tenant nobody; ./scim-ledger tenant"),
    (2, [*TOKEN, "--label", "x"], "token create needs --scope; ./scim-ledger token create --help tells more"),
    (2, [*TOKEN, "--label", "x", "--scope", "root"], "scopes are scim, audit, admin; got root"),
    (2, [*TOKEN, "--label", "", "--scope", "scim"], "a token needs a label of 1 to 200 printable characters"),
    (2, [*TOKEN, "--label", "x", "--scope", "scim", "--profile", "odd"], "profiles are lenient and strict; got odd"),
    (2, [*TOKEN, "--label", "x", "--scope", "scim", "--expires", "0d"], "'0d' is no duration: write 180d, 12h, 30m"),
    (1, ["token", "list", "--tenant", "nobody"], "there is no tenant nobody; ./scim-ledger tenant list shows all"),
    (1, ["token", "revoke", "x", "--tenant", "default"], "tenant default has no live token x"),
    (3, [*TOKEN, "--label", "x", "--scope", "scim", "--user", "nobody"], "nobody"),
    (2, [*CLIENT, "--label", "x", "--scope", "root"], "scopes are scim, audit, admin; got root"),
    (2, [*CLIENT, "--label", "", "--scope", "scim"], "a client needs a label of 1 to 200 printable characters"),
    (1, ["client", "revoke", "x", "--tenant", "default"], "tenant default has no live client x"),
    (1, ["client", "secret", "add", "x", "--tenant", "default"], "tenant default has no live client x"),
    (1, ["client", "secret", "list", "x", "--tenant", "default"], "tenant default has no client x"),
    (2, ["token", "list"], "token list needs --tenant; ./scim-ledger token list --help tells more"),
    (2, ["tenant", "lst"], 'Unknown command "lst". Did you mean "list"?'),
    (2, ["tenant", "list", "--data", "/dev/null"], "data folder: /dev/null is a file, not a folder"),
    (3, ["history", "default", "nobody@contoso.example"], "nobody"),
    (2, ["why", "default", ""], "say whom you mean: a userName, externalId or id"),
    (2, ["why", "default", "  "], "say whom you mean: a userName, externalId or id"),
    (1, ["why", "nobody", "x"], "there is no tenant nobody; ./scim-ledger tenant list shows all"),
    (2, ["request", "default", "x"], "a request id is a UUID, as why, history and log show it"),
    (3, ["request", "default", "00000000-0000-4000-8000-000000000000"], "no request 00000000-0000-4000-8000-0000"),
    (2, ["log", "default", "--count", "0"], "--count is a number from 1 on"),
    (2, ["log", "default", "--count", "-1"], "--count is a number from 1 on"),
    (2, ["log", "default", "--before", "-1"], "--before is a number from 0 on"),
    (2, ["history", "default", "nobody", "--count", "-3"], "--count is a number from 1 on"),
    (2, ["history", "default", "nobody", "--before", "-3"], "--before is a number from 0 on"),
    (2, ["runs", "default", "--count", "-1"], "--count is a number from 1 on"),
    (2, ["runs", "default", "--before", "-1"], "--before is a number from 0 on"),
    (2, ["runs", "default", "--since", "2026-02-01", "--until", "2026-01-01"], "--since comes after --until"),
    (2, ["runs", "default", "--since", "7", "--until", "6"], "--since comes after --until"),
    (3, ["runs", "default", "--client", "nobody"], "tenant default has no client 'nobody', and never had"),
    (2, ["entra-log", "unmatched", "default", "--count", "-1"], "--count is a number from 0 on"),
]


SETTINGS_TAKE = {
    "group_names_unique": "true or false",
    "group_answer_members_max": "a whole number from 0 to 100,000",
    "repost_inactive": "reactivate or refuse",
    "manager_id_as_value": "true or false",
    "endpoints_any_case": "true or false",
    "token_requests_per_second": "a whole number from 25 to 1,000,000, or 0 for no limit",
}


@pytest.mark.parametrize("setting", Settings.__struct_fields__)
def test_a_setting_says_what_it_takes(say: Say, setting: str) -> None:
    """Of every setting, whatever is wrong with the value."""
    for value in ("maybe", "24.5", ""):
        said = say("tenant", "set", "default", setting, value)
        assert (said.status, said.refusal) == (2, f"{setting} cannot be {value!r}: it takes {SETTINGS_TAKE[setting]}")
    for value in ("24", "1000001"):
        refused = say("tenant", "set", "default", "token_requests_per_second", value)
        assert refused.status == 2 and SETTINGS_TAKE["token_requests_per_second"] in refused.refusal


def test_why_about_what_can_be_no_attribute_is_refused(say: Say, service: Service) -> None:
    client = service.new_tenant()
    group_id = group(client, "Finance")
    said = say("why", client.slug, group_id, "--attribute", "userName")
    assert (said.status, said.out) == (2, "")
    assert said.refusal == "'userName' is no attribute of a Group: no attribute is called userName"


def test_why_somebody_never_came_is_a_question_too(say: Say) -> None:
    """3, since there is nobody; but where to look is said all the same."""
    said = say("why", "default", "nobody@contoso.example")
    assert said.status == 3
    assert said.err.count("\n") == 1 and "nobody@contoso.example" in said.err
    assert said.out.startswith(
        "nobody@contoso.example was never provisioned here: no request that names it is recorded"
    )
    assert "Where to look" in said.out or "Look in:" in said.out


PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def patched(client: Client, user_id: str, path: str, value: str) -> None:
    body = {"schemas": [PATCH_OP], "Operations": [{"op": "Replace", "path": path, "value": value}]}
    assert client.scim.patch(f"/Users/{user_id}", json=body).status_code in (200, 204)


def test_the_log_tells_what_was_ignored(say: Say, service: Service) -> None:
    """A request that was skipped for its unknown attribute says so, also to who reads it as text."""
    client = service.new_tenant()
    user_id = client.scim.post("/Users", json={"schemas": [USER], "userName": "ada"}).json()["id"]
    patched(client, user_id, "shoeSize", "43")
    (record, *_) = say("log", client.slug, "--count", "1").out.split("\n\n")
    assert "skipped" in record and record.rstrip().endswith("    ignored: shoeSize")


def test_a_password_that_came_is_told_alike_everywhere(say: Say, service: Service) -> None:
    """Log, history, request and report say that one came; none can say which."""
    client = service.new_tenant()
    user_id = client.scim.post("/Users", json={"schemas": [USER], "userName": "ada"}).json()["id"]
    patched(client, user_id, "password", "s3cret!")
    (record, *_) = say("log", client.slug, "--count", "1").out.split("\n\n")
    received = "a new one was received (it is never stored)"
    asked = ("report", client.slug, "changes", "--subject", "ada", "--rows-only")
    for told in (record, say("history", client.slug, "ada").out, say(*asked).out):
        assert received in told and "nothing → nothing" not in told and "s3cret" not in told


def test_what_another_client_did_meanwhile_is_not_told_as_the_runs_own(say: Say, service: Service) -> None:
    """A run whose numbers do not follow says why; the other client's, which follow, say nothing more."""
    client = service.new_tenant()
    secret = say("token", "create", "--tenant", client.slug, "--label", "HR", "--scope", "scim").out.strip()
    made = client.scim.post("/Groups", json={"schemas": [GROUP], "displayName": "Finance"}).json()
    for name in ("ada", "bob"):
        url, headers = f"{service.base_url}/scim/{client.slug}/v2/Users", {"Authorization": f"Bearer {secret}"}
        assert httpx.post(url, headers=headers, json={"schemas": [USER], "userName": name}).status_code == 201
    assert client.scim.delete(f"/Groups/{made['id']}").status_code == 204
    told = [each for each in say("runs", client.slug).out.split("\nRun ") if "active users" in each]
    (meanwhile,) = [each for each in told if "1 group created" in each]
    assert "active users: 0 → 2; other clients changed them meanwhile\n" in meanwhile
    (their,) = [each for each in told if "2 users created" in each]
    assert "active users: 0 → 2\n" in their
    runs = json.loads(say("runs", client.slug, "--json").out)["runs"]
    assert [each["changed_by_others"] for each in runs if each["users_created"]] == [False]


def test_one_is_not_told_as_several(say: Say, service: Service) -> None:
    client = service.new_tenant()
    group_id = client.scim.post("/Groups", json={"schemas": [GROUP], "displayName": "Finance"}).json()["id"]
    assert client.scim.delete(f"/Groups/{group_id}").status_code == 204
    assert "\n    1 group created, 1 group deleted\n" in say("runs", client.slug).out
    replayed = say("replay", client.slug).out
    assert re.search(r": users 0, groups 0, memberships 0, .*\.$", replayed.strip()), replayed
    assert not re.search(r"\b1 \w+s\b", replayed), replayed


@pytest.mark.parametrize(("status", "arguments", "sentence"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_cannot_be_done_is_one_sentence_and_a_status(
    say: Say, status: int, arguments: list[str], sentence: str
) -> None:
    """2 for what can never be meant, 3 for nobody by that name, 1 for everything else."""
    said = say(*arguments)
    assert said.status == status
    assert sentence in said.refusal


def test_runs_of_a_client_that_never_came_are_none(say: Say, tenant: str) -> None:
    """It is known, revoked or not: nothing is an answer then."""
    created = say("client", "create", "--tenant", tenant, "--label", "Gallery", "--scope", "scim")
    token = say("token", "create", "--tenant", tenant, "--label", "Nightly", "--scope", "scim", "--json")
    assert say("token", "revoke", "Nightly", "--tenant", tenant).status == 0
    for client in ("Gallery", created.out.strip(), "Nightly", json.loads(token.out)["token_id"]):
        assert json.loads(say("runs", tenant, "--client", client, "--json").out)["runs"] == []
    assert say("runs", tenant, "--client", "operator").status == 0


WRONG = [
    (["serve", "--port", "http"], "port must be a whole number, not 'http'"),
    (["serve", "--port", "0"], "port must be from 1 to 65535, not 0"),
    (["serve", "--port"], "serve needs --port; ./scim-ledger serve --help tells more"),
    (["serve", "--prot", "1"], "Unknown option: --prot. Did you mean --port?"),
    (["serve", "extra"], "serve takes no 'extra'; ./scim-ledger serve --help tells what it takes"),
    (["serve", "--workers", "0"], "workers must be from 1 to 64, not 0"),
    (["serve", "--host", "http://x"], "host must be a name or an address to listen on, not 'http://x'"),
    (["serve", "--data", "/dev/null"], "data folder: /dev/null is a file, not a folder"),
    (["serve", "--public-url", "x"], "the public URL must look like https://scim.example.com, not 'x'"),
    (["serve", "--trusted-proxies", "all"], "trusted proxies must be a whole number, not 'all'"),
    (["sreve"], 'Unknown command "sreve". Did you mean "serve"?'),
]


@pytest.mark.parametrize(("arguments", "sentence"), WRONG, ids=lambda value: " ".join(value)[:24])
def test_a_wrong_command_line_is_one_sentence_and_status_2(say: Say, arguments: list[str], sentence: str) -> None:
    """Nothing is started, nothing is made."""
    said = say(*arguments)
    assert (said.status, said.refusal[: len(sentence)]) == (2, sentence)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("SCIM_LEDGER_PORT", "x", "port must be a whole number, not 'x'"),
        ("SCIM_LEDGER_WORKERS", "99", "workers must be from 1 to 64, not 99"),
        ("SCIM_LEDGER_DATABASE_URL", "mysql://u:geheim@h/d", "the database URL must begin with postgresql://, not"),
    ],
)
def test_a_wrong_variable_is_one_sentence_and_status_2(
    say: Say, monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    """As for a flag; a password is never repeated."""
    monkeypatch.setenv(name, value)
    said = say("serve")
    assert (said.status, said.refusal[: len(sentence)]) == (2, sentence)
    assert "geheim" not in said.err


def test_without_a_ledger_a_verb_says_so_and_makes_none(say: Say, tmp_path: Path) -> None:
    """Neither a folder nor a database."""
    said = say("tenant", "list", "--data", str(tmp_path / "none"))
    assert said.status == 1
    assert said.refusal.startswith(f"there is no ledger in {tmp_path / 'none'} yet: run ./scim-ledger serve")
    assert list(tmp_path.iterdir()) == []


def test_migrate_says_what_it_applied(say: Say, database: Database, empty_database: Database) -> None:
    """Before it, verbs and the service's role are told what is missing; after it, there is nothing to do."""
    assert "no ledger in this database" in say("tenant", "list", "--database-url", empty_database.owner_url).refusal
    refused = say("migrate", "--database-url", empty_database.app_url)
    assert refused.status == 1
    assert "the role scim_ledger_app may not apply them" in refused.refusal
    done = say("migrate", "--database-url", empty_database.owner_url)
    assert done.status == 0
    assert done.out.splitlines()[0] == "applied 0001_ledger"
    assert done.out.splitlines()[-1] == "applied append.sql"
    again = say("migrate", "--database-url", empty_database.app_url)
    assert again == Said(0, "the database is up to date\n", "")
    assert json.loads(say("migrate", "--database-url", empty_database.app_url, "--json").out) == {
        "applied": [],
        "warnings": [],
        "trigrams_changed": False,
    }


def test_migrate_finds_the_service_s_own_database(say: Say) -> None:
    """Through the data folder, like every verb."""
    assert say("migrate") == Said(0, "the database is up to date\n", "")


def test_a_database_that_cannot_be_reached_is_one_sentence(say: Say) -> None:
    """And no password is in it."""
    said = say("tenant", "list", "--database-url", "postgresql://app:geheim@127.0.0.1:9/ledger")
    assert said.status == 1
    assert said.refusal.startswith('the database cannot be reached: connection to server at "127.0.0.1", port 9')
    assert "geheim" not in said.err


BADGE = "urn:contoso:scim:schemas:extension:Badge:1.0"
DEVICE = "urn:contoso:scim:schemas:core:Device:1.0"


def schema_file(folder: Path, *documents: object) -> str:
    """A file with these documents."""
    path = folder / "schemas.json"
    path.write_text(json.dumps(documents[0] if len(documents) == 1 else documents))
    return str(path)


def schema(urn: str, *names: str) -> dict[str, object]:
    return {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
        "id": urn,
        "attributes": [{"name": name} for name in names],
    }


def test_schemas_are_declared_listed_and_shown(say: Say, tenant: str, tmp_path: Path) -> None:
    """What is shown can be edited and declared again as the next revision."""
    added = say(
        "schema", "add", tenant, schema_file(tmp_path, schema(BADGE, "code")), "--extends", "User", "--required"
    )
    assert (added.status, added.out.splitlines()) == (0, [f"declared {BADGE}", "declared User"])
    kind = {"name": "Device", "endpoint": "/Devices", "schema": DEVICE}
    both = schema_file(tmp_path, kind, schema(DEVICE, "serial"))
    revised = json.loads(say("schema", "add", tenant, both, "--json").out)
    assert revised == {"revision": 4, "declared": [DEVICE, "Device"]}
    assert say("schema", "add", tenant, both).out == "all of it is declared already\n"
    listed = say("schema", "list", tenant).out
    assert f"Schema        {BADGE}  1 attribute\n" in listed
    assert "ResourceType  Device at /Devices" in listed and f"{BADGE} (required)" in listed
    assert len(json.loads(say("schema", "list", tenant, "--json").out)) == 4
    shown = say("schema", "show", tenant, BADGE)
    document = json.loads(shown.out)
    assert document["attributes"][0]["mutability"] == "readWrite" and shown.out.count("\n") > 10
    assert json.loads(say("schema", "show", tenant, "Device", "--json").out)["endpoint"] == "/Devices"
    document["attributes"].append({"name": "level", "type": "integer"})
    assert say("schema", "add", tenant, schema_file(tmp_path, document)).out == f"declared {BADGE}\n"
    assert say("replay", tenant).status == 0
    told = say("log", tenant).out
    assert f'schemas: nothing → "{BADGE}"' in told and "operator" in told


def test_a_schema_that_cannot_be_is_refused_in_one_sentence(say: Say, tenant: str, tmp_path: Path) -> None:
    file = schema_file(tmp_path, schema(BADGE, "code", "2nd"))
    refused = say("schema", "add", tenant, file, "--extends", "User")
    assert refused.status == 1 and BADGE in refused.refusal and "'2nd'" in refused.refusal
    assert say("schema", "list", tenant).out == ""
    missing = say("schema", "add", tenant, str(tmp_path / "none.json"))
    assert missing.status == 2 and "cannot be read: no such file" in missing.refusal
    (tmp_path / "broken.json").write_text("{")
    assert "not JSON" in say("schema", "add", tenant, str(tmp_path / "broken.json")).refusal
    assert say("schema", "add", tenant, file, "--required").status == 2
    assert say("schema", "show", tenant, BADGE).status == 1
    assert say("schema", "add", "nobody", file).status == 1


def test_a_schema_comes_through_standard_input(say: Say, tenant: str) -> None:
    """`-` as the help promises, through the real command; anything else with a hyphen is a misspelt option."""
    line = [sys.executable, "-P", "-m", "cli", "schema", "add", tenant, "-", "--extends", "User"]
    read = subprocess.run(
        line, input=json.dumps(schema(BADGE, "code")), capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert (read.returncode, read.stdout, read.stderr) == (0, f"declared {BADGE}\ndeclared User\n", "")
    assert BADGE in say("schema", "list", tenant).out
    misspelt = say("schema", "add", tenant, "--extend", "User", "-")
    assert misspelt.status == 2 and "'--extend'" in misspelt.refusal


def verbs(app: App, above: str = "") -> Iterator[tuple[str, App]]:
    """Every verb by its name."""
    for name in app:
        if not name.startswith("-"):
            verb = app[name]
            if verb.default_command is not None:
                yield f"{above}{name}", verb
            yield from verbs(verb, f"{above}{name} ")


VERBS = dict(verbs(main._application()))
LASTING = ("serve", "demo")  # What they print is for people.


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_explains_itself(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """One sentence of help, its exit statuses, a word about every parameter, and --json."""
    assert main.run([*name.split(), "--help"]) == 0
    told = " ".join(capfd.readouterr().out.replace("│", " ").split())
    summary, _, rest = (inspect.getdoc(VERBS[name].default_command) or "").partition("\n")
    assert summary.endswith(".")
    assert summary in told
    assert "Exit status: 0 " in rest and "2 usage" in rest
    arguments = VERBS[name].assemble_argument_collection(parse_docstring=True)
    assert name in LASTING or "--json" in {argument.name for argument in arguments}
    assert [argument.name for argument in arguments if not argument.parameter.help] == []


def test_a_command_line_loads_nothing_that_its_verb_does_not_need() -> None:
    """Else `--help`, and the workers of a `serve`, would wait for the benchmark's clients and the database's."""
    told = "from cli.main import _application; _application(); import cli.serve, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert {"cyclopts", "cli.questions", "bench.command"} <= set(loaded.split())
    unneeded = {"psycopg", "httpx", "http.client", "structlog", "rich", "bench.run", "domain"}
    assert unneeded.isdisjoint(loaded.split())


def test_the_verbs_of_the_contract_are_there() -> None:
    """design.md §5, as far as it is built."""
    contract = "serve demo bench migrate why request history show log replay"
    assert set(contract.split()) <= set(VERBS)
    assert {"tenant create", "tenant list", "tenant set"} <= set(VERBS)
    assert {"token create", "token list", "token revoke"} <= set(VERBS)
    assert {"schema add", "schema list", "schema show"} <= set(VERBS)
