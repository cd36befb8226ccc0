"""The values of ``staging=``, normalized.

Covers: telling a URL of an object store from a directory, refusing URLs with
secrets in them, and taking a URL of the store apart.

A URL's query holds options of the file system (``endpoint_override``). Paths
below a URL are written after its query, so that directories and URLs are joined
in the same way: ``s3://bucket/scratch?scheme=http`` and ``s3://bucket/scratch?scheme=http/run/file``.
A slash in the query itself is therefore written as ``%2F``.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

from safeframe.errors import ValidationError

# As they are without what separates words: account_key, accountKey and account-key are one.
_SECRET_WORDS = (
    "secret",
    "password",
    "passwd",
    "passphrase",
    "token",
    "signature",
    "credential",
    "accountkey",
    "accesskey",
    "apikey",
    "applicationkey",
    "privatekey",
    "sas",
)
_SECRET_NAMES = ("sig", "key", "pwd", "pass", "connectionstring")


def is_remote(path: str) -> bool:
    """Whether a path is a URL of something other than this machine's file system."""
    return "://" in path and not path.startswith("file://")


def staging_base(given: str) -> str:
    """Return what the user named in the form that the rest of safeframe joins names to.

    Raises
    ------
    ValidationError
        When a URL has a password, a key or a token in it: plans, graphs and
        dashboards show where rows are staged.

    Examples
    --------
    >>> staging_base("s3://bucket/scratch/?endpoint_override=http://10.0.0.5:9000")
    's3://bucket/scratch?endpoint_override=http:%2F%2F10.0.0.5:9000'
    >>> staging_base("file:///scratch"), staging_base("/scratch")
    ('/scratch', '/scratch')
    """
    if given.startswith("file://"):
        return unquote(urlsplit(given).path)
    if not is_remote(given):
        return given
    scheme, _, rest = given.partition("://")
    head, mark, query = rest.partition("?")
    if _has_secret(head, query):
        # Not even a part of the URL: which part is secret is a guess.
        msg = f"The {scheme}:// URL in staging= has credentials in it."
        hint = (
            "Leave them out, since plans and dashboards show the URL, and set them for the client, the scheduler "
            "and every worker the way the store's own library reads them: for S3 in AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, in ~/.aws, or by the machine's role."
        )
        raise ValidationError(msg, hint=hint)
    query = query.rstrip("/").replace("/", "%2F")
    return f"{scheme}://{head.rstrip('/')}{mark}{query}"


def location_and_path(url: str) -> tuple[str, str]:
    """Split a URL of the store: where the store is, and the path in it.

    Examples
    --------
    >>> location_and_path("s3://bucket/scratch?scheme=http/run/file")
    ('s3://bucket/?scheme=http', 'scratch/run/file')
    """
    head, mark, rest = url.partition("?")
    query, _, below = rest.partition("/")
    scheme, _, named = head.partition("://")
    authority, _, path = named.partition("/")
    parts = [part.strip("/") for part in (path, below)]
    return f"{scheme}://{authority}/{mark}{query}", "/".join(part for part in parts if part)


def without_login(path: str) -> str:
    """Return a path for messages: of a URL without what may be secret, a user's name and password, and the query.

    Examples
    --------
    >>> without_login("ftp://user:word@host/data?sig=abc"), without_login("/data/@home")
    ('ftp://host/data', '/data/@home')
    """
    if not is_remote(path):
        return path
    scheme, _, rest = path.partition("://")
    return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"


def _has_secret(head: str, query: str) -> bool:
    login = head.partition("/")[0].rpartition("@")[0]
    # A secret may itself have a slash, which then looks like the end of the host.
    if ":" in login or ("@" in head and ":" in head.rpartition("@")[0]):
        return True
    # A semicolon separates options too, for some libraries.
    given = parse_qsl(query.replace(";", "&"), keep_blank_values=True)
    names = [re.sub(r"[\W_]", "", name).lower() for name, _ in given]
    return any(name in _SECRET_NAMES or any(word in name for word in _SECRET_WORDS) for name in names)
