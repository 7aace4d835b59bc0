"""Requests that two readers could end in two places, or that no reader should take; each with the status it must get."""

BODY = b'{"type":"demo.noop","payload":{}}'
HEAD = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
WHOLE = HEAD + LENGTH + b"\r\n" + BODY
GET = b"GET /v1/jobs HTTP/1.1\r\n"

# What a server in front and this one could read differently: RFC 9112, sections 2.2, 5, 6 and 7.
SMUGGLING = {
    "length and chunks": HEAD + LENGTH + CHUNKED + b"\r\n" + CHUNKS,
    "chunks and length, with a request behind": HEAD + b"Content-Length: 4\r\n" + CHUNKED + b"\r\n" + CHUNKS + WHOLE,
    "an unknown coding": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS,
    "identity and a length": HEAD + b"Transfer-Encoding: identity\r\n" + LENGTH + b"\r\n" + BODY,
    "chunked, then identity": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKS,
    "gzip, then chunked": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKS,
    "two codings": HEAD + CHUNKED + b"Transfer-Encoding: identity\r\n\r\n" + CHUNKS,
    "chunked twice": HEAD + CHUNKED + CHUNKED + b"\r\n" + CHUNKS,
    "a space before the colon": HEAD + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKS,
    "a vertical tab": HEAD + b"Transfer-Encoding:\x0bchunked\r\n\r\n" + CHUNKS,
    "a bare line feed in the head": HEAD + b"X: y\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "a folded coding": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + CHUNKS,
    "chunks in HTTP/1.0": HEAD.replace(b"1.1", b"1.0") + CHUNKED + b"\r\n" + CHUNKS,
    "two lengths": HEAD + LENGTH + b"Content-Length: 6\r\n\r\n" + BODY,
    "the same length twice": HEAD + LENGTH + LENGTH + b"\r\n" + BODY,
    "a list of lengths": HEAD + b"Content-Length: 33, 33\r\n\r\n" + BODY,
    "a length with a sign": HEAD + b"Content-Length: +33\r\n\r\n" + BODY,
    "a length in hexadecimal": HEAD + b"Content-Length: 0x21\r\n\r\n" + BODY,
    "a length with a space": HEAD + b"Content-Length: 3 3\r\n\r\n" + BODY,
    "a length without end": HEAD + b"Content-Length: 99999999999999999999999\r\n\r\n" + BODY,
    "an empty length": HEAD + b"Content-Length:\r\n\r\n" + BODY,
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n",
    "a length in words": HEAD + b"Content-Length: five\r\n\r\nhello",
    "bare line feeds": (HEAD + LENGTH + b"\r\n").replace(b"\r\n", b"\n") + BODY,
    "a bare carriage return": HEAD.replace(b"\r\n", b"\r", 1) + LENGTH + b"\r\n" + BODY,
    "a negative chunk": HEAD + CHUNKED + b"\r\n-1\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a chunk beyond 64 bits": HEAD + CHUNKED + b"\r\nffffffffffffffff1\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a chunk that does not end": HEAD + CHUNKED + b"\r\n%x\r\n%sXX0\r\n\r\n" % (len(BODY), BODY),
    "chunks with bare line feeds": HEAD + CHUNKED + b"\r\n%x\n%s\n0\n\n" % (len(BODY), BODY),
    "a chunk size in words": HEAD + CHUNKED + b"\r\nzz\r\nhello\r\n0\r\n\r\n",
    "a folded header": HEAD + b"X-A: 1\r\n  folded\r\n" + LENGTH + b"\r\n" + BODY,
    "a header without a colon": HEAD + b"XA\r\n" + LENGTH + b"\r\n" + BODY,
    "a header without a name": HEAD + b": x\r\n" + LENGTH + b"\r\n" + BODY,
    "a header with a space": HEAD + b"X A: 1\r\n" + LENGTH + b"\r\n" + BODY,
    "a NUL in a header": HEAD + b"X-A: a\x00b\r\n" + LENGTH + b"\r\n" + BODY,
    "a NUL in a name": HEAD + b"X\x00A: ab\r\n" + LENGTH + b"\r\n" + BODY,
    "a control character in a header": HEAD + b"X-A: a\x01b\r\n" + LENGTH + b"\r\n" + BODY,
    "a fragment in the target": HEAD.replace(b"/v1/jobs", b"/v1/jobs#x") + LENGTH + b"\r\n" + BODY,
    "a space in the target": HEAD.replace(b"/v1/jobs", b"/v1/ jobs") + LENGTH + b"\r\n" + BODY,
    "a control character in the target": b"GET /v1/\x01jobs HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a method in lower case": b"get /v1/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an unknown method": b"FOO /v1/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "HTTP/9.9": b"GET /v1/jobs HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 64,
    "a tunnel": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "garbage": b"hello\r\n\r\n",
}

OTHERS = {
    "no host": (400, HEAD.replace(b"Host: localhost\r\n", b"") + LENGTH + b"\r\n" + BODY),
    "two hosts": (400, HEAD + b"Host: localhost\r\n" + LENGTH + b"\r\n" + BODY),
    "another host in the target": (403, HEAD.replace(b"/v1/jobs", b"http://evil.example/v1/jobs") + LENGTH + b"\r\n" + BODY),
    "a host with a user": (403, GET + b"Host: localhost@evil.example\r\n\r\n"),
    "a list of hosts": (403, GET + b"Host: localhost, evil.example\r\n\r\n"),
    "an empty host": (403, GET + b"Host:\r\n\r\n"),
    "two slashes": (404, b"GET //v1/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "a star": (404, b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "a trace": (405, b"TRACE /v1/jobs HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "a header of 500 KB": (431, HEAD + b"X: " + b"a" * 500_000 + b"\r\n" + LENGTH + b"\r\n" + BODY),
    "a head without end": (431, HEAD + b"X: " + b"a" * 3_000_000),
    "headers without end": (431, HEAD + b"".join(b"X%d: y\r\n" % number for number in range(200_000))),
}
