"""A task as a container of its own: counts words. It knows nothing of the observatory; an `http.call` job calls it."""

from collections import Counter

import functions_framework
from flask import Request, jsonify
from flask.typing import ResponseReturnValue

MOST_CHARACTERS = 1_000_000


@functions_framework.http
def word_count(request: Request) -> ResponseReturnValue:
    """POST {"text": "..."} answers {"lines", "words", "characters", "most_common": [[word, times], ...]}."""
    if request.method == "GET":  # probes
        return jsonify(ready=True)
    document = request.get_json(silent=True)
    text = document.get("text") if isinstance(document, dict) else None
    if not isinstance(text, str) or len(text) > MOST_CHARACTERS:
        return jsonify(error=f'send {{"text": "..."}} with at most {MOST_CHARACTERS:,} characters'), 422
    words = text.split()
    return jsonify(lines=text.count("\n"), words=len(words), characters=len(text), most_common=Counter(words).most_common(5))
