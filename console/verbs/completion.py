"""completion: the script by which a shell completes this command line, live."""

import argparse
import contextlib
import shlex
import sys
from collections.abc import Sequence

from console import environment, exits
from console.session import Session

EXAMPLES = """It completes verbs, options, task types and their fields, queues, schedules, jobs, contexts and queries; what the server has
is asked at once, and left out where no server answers within a second; where nothing of all that
fits, it completes files. It goes by the name `observatory`: link that script of this folder into one of your PATH.

examples:
  source <(observatory completion bash)                                   into ~/.bashrc
  source <(observatory completion zsh)                                    into ~/.zshrc, after compinit
  observatory completion fish > ~/.config/fish/completions/observatory.fish
"""
BASH = """_observatory() {
  local text
  COMPREPLY=()
  while IFS= read -r text; do COMPREPLY+=("$text"); done < <(
    PROGRAM __complete bash "${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null)
}
complete -o nospace -o default -F _observatory observatory
"""
ZSH = """_observatory() {
  local -a texts shown open open_shown
  local text meaning
  while IFS=$'\\t' read -r text meaning; do
    if [[ $text == *[:=./@] ]]; then
      open+=("$text"); open_shown+=("$text${meaning:+  -- $meaning}")
    else
      texts+=("$text"); shown+=("$text${meaning:+  -- $meaning}")
    fi
  done < <(PROGRAM __complete words "${(@Q)words[2,CURRENT]}" 2>/dev/null)
  (( $#texts + $#open )) || { _files; return }
  compadd -l -d shown -a texts
  compadd -l -S '' -d open_shown -a open
}
compdef _observatory observatory
"""
FISH = """function __observatory
  set -l found (PROGRAM __complete words (commandline -opc)[2..] (commandline -ct) 2>/dev/null)
  if test (count $found) -gt 0
    printf '%s\\n' $found
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c observatory -f -a '(__observatory)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
OPEN = (":", "=", ".", "/", "@")  # after these more of the same word follows
QUOTES = "'\""
MEANING_CHARACTERS = 60


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=tuple(SCRIPTS), help="whose script")


def run(session: Session, arguments: argparse.Namespace) -> int:
    script = SCRIPTS[arguments.shell].replace("PROGRAM", shlex.quote(str(environment.ROOT / "console" / "observatory")))
    if session.as_json:
        session.json({"shell": arguments.shell, "script": script})
    else:
        sys.stdout.write(script)
    return exits.OK


# ---- what the scripts ask ---------------------------------------------------------------------------------------


def complete(asked: Sequence[str]) -> int:
    """`bash LINE WORD`: whole replacements of WORD; `words WORD ...`: candidates and meanings. Never says what went wrong."""
    with contextlib.suppress(Exception):
        how, *rest = asked
        lines = _for_bash(*rest) if how == "bash" else _with_meanings(rest)
        sys.stdout.write("".join(line + "\n" for line in lines))
    return exits.OK


def _with_meanings(words: Sequence[str]) -> list[str]:
    from console.completing import candidates
    from console.text import clean, fit

    whole = [*words[:-1], words[-1].lstrip(QUOTES)] if words else []  # the quotes around what is typed may be open
    return [f"{clean(text)}\t{fit(clean(meaning), MEANING_CHARACTERS)}" for text, meaning in candidates(whole)]


def _for_bash(line: str, word: str) -> list[str]:
    """bash breaks words at colons and equal signs, too: what stands before its last piece is taken off again."""
    from console.completing import candidates
    from console.text import clean

    words = split(line)
    typed = words[-1] if words else ""
    piece = "" if word in (":", "=", "==", "::") else word.lstrip(QUOTES)
    before = typed[: len(typed) - len(piece)] if typed.endswith(piece) else ""
    return [clean(text).removeprefix(before) + ("" if text.endswith(OPEN) else " ") for text, _ in candidates(words)]


def split(line: str) -> list[str]:
    """The words after the program's name; the last one may be empty, or in quotes that are still open."""
    for closing in ("", "'", '"'):
        with contextlib.suppress(ValueError):
            words = shlex.split(line + closing)
            return [*words[1:], ""] if not closing and line[-1:].isspace() else words[1:]
    return []
