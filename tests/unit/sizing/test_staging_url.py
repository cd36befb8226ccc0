"""What may stand in staging=, and how names are joined to it."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from safeframe.errors import ValidationError
from safeframe.sizing.cluster import staging_facts
from safeframe.sizing.staging_url import is_remote, location_and_path, staging_base


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("/scratch", "/scratch"),
        ("relative/place", "relative/place"),
        ("file:///scratch/a%20b", "/scratch/a b"),
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3://bucket/a/?region=eu", "s3://bucket/a?region=eu"),
        ("s3://bucket/a?endpoint_override=http://h:1/", "s3://bucket/a?endpoint_override=http:%2F%2Fh:1"),
        (
            "abfs://container@account.dfs.core.windows.net/a",
            "abfs://container@account.dfs.core.windows.net/a",
        ),
        ("gs://anonymous@bucket/a", "gs://anonymous@bucket/a"),
    ],
)
def test_one_form(given, base):
    assert staging_base(given) == base
    assert staging_base(base) == base
    assert is_remote(base) == ("://" in base)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("s3://bucket/run/file", ("s3://bucket/", "run/file")),
        ("s3://bucket/a?x=1/run/file", ("s3://bucket/?x=1", "a/run/file")),
        ("s3://bucket?x=1/run", ("s3://bucket/?x=1", "run")),
        ("memory://a/b", ("memory://a/", "b")),
        ("local:///tmp/a/f", ("local:///", "tmp/a/f")),
    ],
)
def test_names_go_behind_the_options(url, parts):
    assert location_and_path(url) == parts


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIA:hunter2@bucket/a",
        "s3://AKIA:hun/ter2@bucket/a",
        "s3://bucket/a?secret_key=hunter2",
        "s3a://bucket/a?key=hunter2",
        "abfs://c@a.dfs.core.windows.net/a?sig=hunter2&se=1",
        "abfs://c@a.dfs.core.windows.net/a?ACCOUNT_KEY=hunter2",
        "gs://bucket/a?token=hunter2",
        "s3://bucket/a?apikey=hunter2",
        "s3://bucket/a?x-api-key=hunter2",
        "b2://bucket/a?application_key=hunter2",
        "b2://bucket/a?applicationKey=hunter2",
        "sftp://host/a?passphrase=hunter2",
        "abfs://c@a.dfs.core.windows.net/a?credential=hunter2",
        "abfs://c@a.dfs.core.windows.net/a?AccountKey=hunter2",
        "abfs://c@a.dfs.core.windows.net/a?sas=hunter2",
        "s3://bucket/a?X-Amz-Signature=hunter2",
        "s3://bucket/a?region=eu;password=hunter2",
    ],
)
def test_secrets_are_refused_and_not_repeated(url):
    with pytest.raises(ValidationError, match=r"has credentials in it\.(.|\n)*Hint: ") as info:
        staging_facts(url)
    assert "hun" not in str(info.value)
    assert urlsplit(url).scheme in str(info.value)


def test_nobody_knows_the_room_of_an_object_store(tmp_path):
    facts = staging_facts("s3://bucket/a/")
    assert (facts.directory, facts.free_nbytes, facts.unavailable) == ("s3://bucket/a", None, "")
    local = staging_facts(f"file://{tmp_path}")
    assert local.directory == str(tmp_path)
    assert local.free_nbytes is not None
    assert local.free_nbytes > 0
