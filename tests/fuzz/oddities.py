"""Odd methods, media types, URLs, headers and bytes: what a request is made of besides its body."""

METHODS = (
    "GET", "GET", "GET", "POST", "POST", "PUT", "PATCH", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "PURGE",
    "M-SEARCH",
)  # fmt: skip
CONTENT_TYPES = (
    "application/scim+json", "application/json", "application/scim+json; charset=utf-8", "text/plain", "",
    "application/x-www-form-urlencoded", 'application/json; charset="utf-16"', ";", "a/b" * 300,
    "application/json;charset=",
)  # fmt: skip
VERSIONS = ("/v2", "/v2", "/v2", "/v2", "", "/v1", "/V2", "/v3", "/v" + "9" * 400, "/v2/v2")
ENDPOINTS = (
    "/Users", "/Groups", "", "/Me", "/Bulk", "/ResourceTypes", "/Schemas", "/ServiceProviderConfig", "/users",
    "/Nope", "/",
)  # fmt: skip
PARAMETERS = (
    "filter", "startIndex", "count", "attributes", "excludedAttributes", "sortBy", "sortOrder", "cursor", "FILTER",
    "startindex", "aadOptscim062020", "subject", "asOf", "before", "action", "status", "",
)  # fmt: skip
ODD_SEGMENTS = (
    "%00", "%ff", "%2f", "%zz", "%", "..", ".", "%2e%2e", ";a=b", "a" * 3_000, "%F0%9F%98%80", "//", "*", "~", "@",
    ":", ".search",
    "{id}", "%25", "%0d%0a", "a/b/c/d",
)  # fmt: skip

PATHS = (
    "/healthz", "/readyz", "/schema", "/", "/console", "/log/{slug}/checkpoint", "/log/{slug}/tile/0/000", "/scim",
    "/api", "/log/{slug}/tile/{odd}", "/oauth/{slug}/token", "/oauth/{slug}/token", "/oauth", "//scim/x",
    "/scim//{slug}", "/{odd}", "/scim/{slug}/v2/{odd}",
)  # fmt: skip
QUESTIONS = (
    "why",
    "requests/{id}",
    "history",
    "log",
    "log",
    "users/{id}",
    "users/{id}",
    "",
    "nope",
    "runs",
    "entra-log",
    "schemas",
)
CREDENTIALS = (
    "bearer TOKEN", "TOKEN", "Bearer  TOKEN", "Bearer", "Basic YTpi", "Basic ====", "Bearer slt_", "\xff\xfe", "",
    "Bearer TOKENé", "Bearer TOKENTOKEN", "Bearer slt_" + "é" * 43, "Bearer " + "a" * 5_000,
)  # fmt: skip
TAGS = ('W/"1"', '"1"', "*", "", ",", 'W/"', "W/" * 500, 'W/"1", W/"2"', "1", "\xe9", f'W/"{"9" * 400}"')
HEADERS = (
    "Accept: text/html", "Accept: \xff", "X-Forwarded-For: a, b, , \xe9", "User-Agent: " + "\xe9" * 300,
    "traceparent: ",
    "ADSCIMVersion: " + "a" * 3_000, "X-Request-Id: \xff\xfe", "X-Ms-A: 1\r\nX-Ms-A: 2", "Prefer: respond-async",
    "Content-Encoding: gzip", "Connection: close", "Connection: keep-alive, Upgrade", "Cookie: " + "a=b;" * 400,
    "X-Http-Method-Override: DELETE", "Range: bytes=0-1", "Origin: https://evil.example", "Expect: 100-continue",
)  # fmt: skip
BROKEN = (
    "get {target} HTTP/1.1\r\n{host}\r\n", "FOO {target} HTTP/1.1\r\n{host}\r\n",
    "GET {target}\r\n\r\n", "GET {target} HTTP/9.9\r\n{host}\r\n", "GET  {target} HTTP/1.1\r\n{host}\r\n",
    "\0\0\0\r\n\r\n",
    "GET {target}\0 HTTP/1.1\r\n{host}\r\n", "GET {target} HTTP/1.1\r\n{host}Bad Header: x\r\n\r\n",
    "GET * HTTP/1.1\r\nHost: x\r\n\r\n", "POST {target} HTTP/1.1\r\n{host}Content-Length: -1\r\n\r\n",
    "POST {target} HTTP/1.1\r\n{host}Content-Length: x\r\n\r\n", "GET {target} HTTP/1.1\r\n{host}a:\0\r\n\r\n",
    "POST {target} HTTP/1.1\r\n{host}Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc", "GET é HTTP/1.1\r\n{host}\r\n",
    "POST {target} HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n",
    "POST {target} HTTP/1.1\r\n{host}Transfer-Encoding: gzip\r\n\r\n", "GET http://a b/ HTTP/1.1\r\n{host}\r\n",
    "\x16\x03\x01\x02\0\x01\r\n\r\n", "GET http://evil.example{target} HTTP/1.1\r\n{host}\r\n",
    "GET {target} HTTP/1.1\r\n\r\n",
    "GET {target}#a HTTP/1.1\r\n{host}\r\n", "GET {target} HTTP/1.1\r\n{host}" + "a: b\r\n" * 500 + "\r\n",
    "GET {target} HTTP/1.0\r\n{host}\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "GET /" + "a" * 70_000 + " HTTP/1.1\r\n{host}\r\n",
    "GET {target} HTTP/1.1\r\n{host}a: " + "b" * 70_000 + "\r\n\r\n", "CONNECT {target} HTTP/1.1\r\n{host}\r\n",
    "GET {target} HTTP/1.1\r\n{host}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
)  # fmt: skip
