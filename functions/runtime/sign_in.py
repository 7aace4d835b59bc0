"""What a browser without a key is shown: a page that asks for one, keeps it in the tab, and sends it as a header.

The page tells nothing of the system, and is no answer: its status is 401. An address never carries a key.
"""

import base64
import hashlib
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from contracts.errors import Unauthenticated

WEB = Path(__file__).resolve().parents[2] / "console" / "web"


def wants_page(request: Request) -> bool:
    """Whether a browser is shown what is answered: it names HTML, which programs do not."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "") and "authorization" not in request.headers


def sign_in_page(error: Unauthenticated) -> Response:
    """The page, as the answer to a request that needs a key."""
    text, policy = _page()
    headers = {
        "www-authenticate": error.challenge,
        "content-security-policy": policy,
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "vary": "Accept, Authorization",
    }
    return HTMLResponse(text, error.status, headers)


@cache
def _page() -> tuple[str, str]:
    """The page and its policy: nothing but its own script and style, and requests to where it came from."""
    style, script = ((WEB / name).read_text(encoding="utf-8") for name in ("index.css", "sign-in.js"))
    text = (WEB / "sign-in.html").read_text(encoding="utf-8").replace("{style}", style).replace("{script}", script)
    own = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; connect-src 'self'"
    return text, f"{own}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
