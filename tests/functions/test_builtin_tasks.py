"""The built-in tasks on real input, compared with the programs that people know."""

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from contracts.errors import ContractViolation, UnknownTaskType
from functions.processor.assignments import Outcome
from functions.processor.tasks import reading
from functions.processor.tasks.context import Permanent
from functions.processor.tasks.foreground import run_once
from functions.processor.tasks.reading import open_allowed
from functions.processor.tasks.text import count

STDLIB = Path(os.__file__).resolve().parent
ROOT = Path(__file__).resolve().parents[2]


def run(task_type: str, payload: Any, **options: Any) -> Outcome:
    return run_once(task_type, payload, **options)


def result(task_type: str, payload: Any, **options: Any) -> Any:
    outcome = run(task_type, payload, **options)
    assert outcome.error is None, outcome.error
    return outcome.result


def refusal(task_type: str, payload: Any) -> str:
    outcome = run(task_type, payload)
    assert outcome.kind == "permanent", outcome
    assert outcome.error is not None
    message: str = outcome.error["message"]
    return message


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that file tasks may read."""
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    monkeypatch.setenv("OBSERVATORY_FILES_ROOTS", str(allowed))
    return allowed


# ---- text.statistics


def wc(*paths: Path) -> list[tuple[int, ...]]:
    command = ["wc", "-l", "-w", "-m", "-c", "--", *map(str, paths)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"}).stdout.splitlines()
    return [tuple(map(int, line.split()[:4])) for line in lines[: len(paths)]]


def figures(statistics: dict[str, int]) -> tuple[int, ...]:
    return tuple(statistics[name] for name in ("lines", "words", "characters", "bytes"))


def test_text_statistics_of_the_standard_library_are_those_of_wc() -> None:
    files = sorted(STDLIB.glob("*.py"))[:150] + sorted((STDLIB / "email").glob("*.py")) + sorted((STDLIB / "encodings").glob("*.py"))
    assert len(files) > 200
    assert [figures(count([file.read_bytes()])) for file in files] == wc(*files)
    assert figures(result("text.statistics", {"path": str(files[0])})) == wc(files[0])[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "a",
        "a\n",
        "a b\n\nc",
        " a\tb\vc\fd\re ",
        "no break\u00a0space",
        "ein süßes Wort",
        "日本 語",
        "a\x1cb",
        "\ufeffx",
        "x " * 1000,
    ],
)
def test_text_statistics_of_awkward_texts_are_those_of_wc(folder: Path, text: str) -> None:
    file = folder / "text"
    file.write_bytes(text.encode())
    assert figures(result("text.statistics", {"path": str(file)})) == wc(file)[0]
    assert figures(result("text.statistics", {"text": text})) == wc(file)[0]


def test_text_statistics_do_not_depend_on_where_a_file_is_cut_into_pieces() -> None:
    data = "ein süßes Wort\nund  noch eins\x1c \u2003ja".encode() + b"\xff\xfe bad\xe2"
    whole = count([data])
    assert whole["longest_line"] == len("und  noch eins\x1c \u2003ja bad")
    for size in range(1, 8):
        assert count(data[at : at + size] for at in range(0, len(data), size)) == whole


# ---- file.digest


@pytest.mark.parametrize(
    ("algorithm", "program"), [("sha256", "sha256sum"), ("sha512", "sha512sum"), ("blake2b", "b2sum"), ("md5", "md5sum")]
)
def test_digests_are_those_of_the_usual_programs(algorithm: str, program: str) -> None:
    file = STDLIB / "argparse.py"
    expected = subprocess.run([program, str(file)], capture_output=True, text=True, check=True).stdout.split()[0]
    assert result("file.digest", {"path": str(file), "algorithm": algorithm}) == {
        "algorithm": algorithm, "digest": expected, "bytes": file.stat().st_size,
    }  # fmt: skip


def test_a_large_file_is_read_in_pieces_with_progress(folder: Path) -> None:
    (folder / "large").write_bytes(b"x" * (3 << 20))
    said: list[tuple[float | None, str | None]] = []
    answer = result("file.digest", {"path": str(folder / "large")}, on_progress=lambda *words: said.append(words))
    assert answer["bytes"] == 3 << 20
    assert [fraction for fraction, _ in said] == [pytest.approx(1 / 3), pytest.approx(2 / 3)]


# ---- csv.summary


def test_a_table_is_summarised_by_column(folder: Path) -> None:
    file = folder / "table.csv"
    file.write_text('\ufeffname,count,price,note\n"Tea, green",3,2.5,\nPots,-1,1e1,x\n\nCup,10,0,"two\nlines"\n', encoding="utf-8")
    summary = result("csv.summary", {"path": str(file)})
    assert (summary["rows"], summary["uneven_rows"]) == (4, 1)
    assert summary["columns"] == [
        {"name": "name", "type": "text", "filled": 3, "empty": 1, "minimum": "Cup", "maximum": "Tea, green", "mean": None},
        {"name": "count", "type": "integer", "filled": 3, "empty": 1, "minimum": -1, "maximum": 10, "mean": 4.0},
        {"name": "price", "type": "number", "filled": 3, "empty": 1, "minimum": 0.0, "maximum": 10.0, "mean": pytest.approx(12.5 / 3)},
        {"name": "note", "type": "text", "filled": 2, "empty": 2, "minimum": "two\nlines", "maximum": "x", "mean": None},
    ]
    assert [column["name"] for column in result("csv.summary", {"path": str(file), "columns": ["price"]})["columns"]] == ["price"]
    assert "'weight'" in refusal("csv.summary", {"path": str(file), "columns": ["weight"]})


def test_a_table_may_have_another_delimiter_and_large_numbers(folder: Path) -> None:
    (folder / "t.csv").write_text("n;v\n1;nan\n9007199254740993;inf\n")
    columns = result("csv.summary", {"path": str(folder / "t.csv"), "delimiter": ";"})["columns"]
    assert columns[0] == {
        "name": "n", "type": "integer", "filled": 2, "empty": 0, "minimum": 1, "maximum": 9007199254740993, "mean": pytest.approx(2**52)
    }  # fmt: skip
    assert columns[1]["type"] == "text"


@pytest.mark.parametrize(
    ("data", "words"), [(b"a,b\n\xff\xfe,1\n", "not UTF-8"), (b'a,b\n"x"y,1\n', "not CSV"), (b'a\n"' + b"x" * 200_000, "not CSV")]
)
def test_what_is_no_table_fails_for_good(folder: Path, data: bytes, words: str) -> None:
    (folder / "bad").write_bytes(data)
    assert words in refusal("csv.summary", {"path": str(folder / "bad")})


def test_an_empty_file_is_an_empty_table(folder: Path) -> None:
    (folder / "empty").write_bytes(b"")
    assert result("csv.summary", {"path": str(folder / "empty")}) == {"rows": 0, "uneven_rows": 0, "columns": []}


# ---- what may be read


def test_a_file_outside_the_folders_is_refused_and_the_setting_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (folder / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "allowed-too").mkdir()
    (tmp_path / "allowed-too" / "file").write_text("x")
    outside = [tmp_path / "secret", folder / "link", folder / ".." / "secret", tmp_path / "allowed-too" / "file", Path("/etc/passwd")]
    for path in outside:
        message = refusal("file.digest", {"path": str(path)})
        assert "OBSERVATORY_FILES_ROOTS" in message
        assert str(folder) in message


def test_what_is_no_regular_file_is_refused_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(folder / "pipe")
    begun = time.monotonic()
    assert "no regular file" in refusal("file.digest", {"path": str(folder / "pipe")})
    assert "no regular file" in refusal("text.statistics", {"path": str(folder)})
    assert "cannot be read: No such file" in refusal("csv.summary", {"path": str(folder / "absent")})
    monkeypatch.setenv("OBSERVATORY_FILES_ROOTS", "/dev")
    assert "no regular file" in refusal("file.digest", {"path": "/dev/zero"})
    assert time.monotonic() - begun < 5


def test_links_inside_the_folders_are_followed(folder: Path) -> None:
    (folder / "file").write_text("x")
    (folder / "link").symlink_to("file")
    assert result("file.digest", {"path": str(folder / "link")})["bytes"] == 1


def test_a_folder_that_is_swapped_after_the_check_gains_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("secret")
    (folder / "inner").mkdir()
    (folder / "inner" / "file").write_text("harmless")
    real_open = os.open

    def swap_then_open(path: str, flags: int) -> int:
        (folder / "inner").rename(folder / "was-inner")
        (folder / "inner").symlink_to(tmp_path / "outside")
        return real_open(path, flags)

    monkeypatch.setattr(reading.os, "open", swap_then_open)
    with pytest.raises(Permanent, match="OBSERVATORY_FILES_ROOTS"):
        open_allowed(str(folder / "inner" / "file"))


def test_by_default_the_started_folder_and_the_standard_library_may_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OBSERVATORY_FILES_ROOTS", raising=False)
    assert result("file.digest", {"path": str(STDLIB / "os.py")})["bytes"] > 0
    assert result("file.digest", {"path": os.path.relpath(__file__)})["bytes"] > 0
    assert "OBSERVATORY_FILES_ROOTS" in refusal("file.digest", {"path": "/etc/passwd"})


# ---- http.call


class Remote(http.server.BaseHTTPRequestHandler):
    """Answers by its path; keeps what it got."""

    got: ClassVar[list[tuple[str, str, dict[str, str], bytes]]] = []

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        self.got.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        status, headers, text = ANSWERS.get(self.path, (200, {"content-type": "application/json"}, b'{"ok": true}'))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value.replace("HOST", self.headers["host"]))
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, *_: Any) -> None:
        pass


ANSWERS: dict[str, tuple[int, dict[str, str], bytes]] = {
    "/text": (200, {"content-type": "text/plain; charset=latin-1"}, b"gr\xfc\xdfe"),
    "/empty": (204, {}, b""),
    "/binary": (200, {"content-type": "application/octet-stream"}, b"\xff\xfe\x00"),
    "/large": (200, {"content-type": "text/plain"}, b"x" * ((1 << 20) + 1)),
    "/broken": (200, {"content-type": "application/json"}, b'{"a": '),
    "/404": (404, {}, b"nothing here"),
    "/429": (429, {"retry-after": "17"}, b""),
    "/503": (503, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, b""),
    "/500": (500, {}, b"oops"),
    "/409": (409, {}, b""),
    "/moved": (307, {"location": "/there"}, b""),
    "/see": (303, {"location": "http://HOST/there"}, b""),
    "/away": (302, {"location": "http://127.0.0.2:1/"}, b""),
    "/loop": (302, {"location": "/loop"}, b""),
    "/nowhere": (302, {}, b""),
}


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Remote) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("OBSERVATORY_HTTP_ALLOW", f"127.0.0.1:{server.server_port}")
        Remote.got = []
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_call_sends_its_body_key_and_trace_and_brings_the_answer(remote: str) -> None:
    payload = {
        "url": f"{remote}/here?a=1#part",
        "body": {"n": 1},
        "headers": {"X-Word": "süß", "Host": "else"},
        "authorization": "Bearer t",
    }
    outcome = run("http.call", payload, job_id="job-7", traceparent="00-aa-bb-01")
    assert outcome.result == {"ok": True}
    ((method, path, headers, body),) = Remote.got
    assert (method, path, json.loads(body)) == ("POST", "/here?a=1", {"n": 1})
    assert headers["idempotency-key"] == "job-7"
    assert headers["traceparent"] == "00-aa-bb-01"
    assert headers["authorization"] == "Bearer t"
    assert headers["host"] == remote.removeprefix("http://")
    assert headers["content-type"] == "application/json"


def test_answers_are_json_or_text_and_bounded(remote: str) -> None:
    assert result("http.call", {"url": f"{remote}/text", "method": "GET"}) == "grüße"
    assert result("http.call", {"url": f"{remote}/empty", "method": "DELETE"}) is None
    assert "neither JSON nor text" in refusal("http.call", {"url": f"{remote}/binary"})
    assert "1,048,576 bytes" in refusal("http.call", {"url": f"{remote}/large"})
    assert run("http.call", {"url": f"{remote}/broken"}).kind == "failed"


def test_some_statuses_are_tried_again_and_others_are_final(remote: str) -> None:
    kinds = {path: run("http.call", {"url": f"{remote}/{path}"}) for path in ("404", "409", "429", "500", "503")}
    assert {path: (outcome.kind, outcome.after_seconds) for path, outcome in kinds.items()} == {
        "404": ("permanent", None), "409": ("failed", None), "429": ("failed", 17.0), "500": ("failed", None), "503": ("failed", 0.0),
    }  # fmt: skip
    assert "404" in str(kinds["404"].error)
    assert "nothing here" in str(kinds["404"].error)


def test_redirects_stay_on_allowed_hosts(remote: str) -> None:
    assert result("http.call", {"url": f"{remote}/moved", "body": 1}) == {"ok": True}
    assert [(method, path, body) for method, path, _, body in Remote.got] == [("POST", "/moved", b"1"), ("POST", "/there", b"1")]
    Remote.got.clear()
    assert result("http.call", {"url": f"{remote}/see", "body": 1}) == {"ok": True}
    assert Remote.got[-1][0] == "GET"
    assert "OBSERVATORY_HTTP_ALLOW" in refusal("http.call", {"url": f"{remote}/away"})
    assert "more than 5 times" in refusal("http.call", {"url": f"{remote}/loop"})
    assert "without a Location" in refusal("http.call", {"url": f"{remote}/nowhere"})


def test_hosts_that_are_not_allowed_are_refused_and_the_setting_named(remote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    port = remote.rpartition(":")[2]
    for url in (f"http://localhost:{port}/", "http://127.0.0.1:1/", "https://example.org/", f"http://127.0.0.1.example.org:{port}/"):
        assert "OBSERVATORY_HTTP_ALLOW" in refusal("http.call", {"url": url})
    assert "without a user name" in refusal("http.call", {"url": f"http://127.0.0.1:{port}@example.org/"})
    assert Remote.got == []
    monkeypatch.setenv("OBSERVATORY_HTTP_ALLOW", "LOCALHOST, 127.0.0.1")
    assert result("http.call", {"url": f"{remote}/"}) == {"ok": True}
    monkeypatch.delenv("OBSERVATORY_HTTP_ALLOW")
    assert "(none is)" in refusal("http.call", {"url": f"{remote}/"})


def test_a_host_that_does_not_answer_is_a_failed_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBSERVATORY_HTTP_ALLOW", "127.0.0.1")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        refused = run("http.call", {"url": f"http://127.0.0.1:{port}/"})
        silent.listen()
        unanswered = run("http.call", {"url": f"http://127.0.0.1:{port}/", "timeout_seconds": 0.1})
    assert (refused.kind, unanswered.kind) == ("failed", "failed")
    assert "cannot be reached" in str(refused.error)
    assert "did not answer within 0.1 s" in str(unanswered.error)


@pytest.fixture
def word_count(tmp_path: Path) -> Iterator[str]:
    """The example function, started by the framework's own command."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "functions-framework"), "--target", "word_count"]
    command += ["--source", str(ROOT / "functions/examples/word_count/main.py"), "--port", str(port), "--host", "127.0.0.1"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path)
    try:
        end = time.monotonic() + 30
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/health/readiness").raise_for_status()
                break
            except httpx.HTTPError:
                assert time.monotonic() < end and process.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(10)


def test_a_call_reaches_a_function_in_a_container_of_its_own(word_count: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBSERVATORY_HTTP_ALLOW", "127.0.0.1")
    answer = result("http.call", {"url": word_count, "body": {"text": "to be or not to be\n"}})
    assert answer == {"lines": 1, "words": 6, "characters": 19, "most_common": [["to", 2], ["be", 2], ["or", 1], ["not", 1]]}
    assert "422" in refusal("http.call", {"url": word_count, "body": {"txt": 1}})


# ---- demo.*, and the foreground itself


def test_a_failing_demonstration_succeeds_after_its_failures() -> None:
    assert run("demo.fail", {"times": 2}, attempt=1).kind == "failed"
    assert run("demo.fail", {"times": 2, "message": "no luck"}, attempt=2).error["message"] == "no luck"  # type: ignore[index]
    assert result("demo.fail", {"times": 2}, attempt=3) == {"succeeded_in_attempt": 3}
    assert refusal("demo.fail", {"times": 1, "permanent": True, "message": "never"}) == "never"


def test_a_sleeping_demonstration_tells_its_progress() -> None:
    said: list[tuple[float | None, str | None]] = []
    answer = result("demo.sleep", {"seconds": 0.05, "steps": 4}, on_progress=lambda *words: said.append(words))
    assert answer["slept_seconds"] >= 0.05
    assert [fraction for fraction, _ in said] == [0.25, 0.5, 0.75, 1.0]


def test_an_idle_demonstration_answers_its_echo() -> None:
    assert result("demo.noop", {"echo": [1, None]}) == [1, None]
    assert result("demo.noop", {}) is None


def test_the_foreground_checks_the_type_and_the_payload_first() -> None:
    with pytest.raises(UnknownTaskType, match=r"Did you mean text\.statistics"):
        run("text.statistic", {})
    with pytest.raises(ContractViolation) as caught:
        run("demo.fail", {"times": "two", "more": 1})
    assert "/times" in [fault.pointer for fault in caught.value.faults]
    assert len(caught.value.faults) == 2
