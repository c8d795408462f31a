"""`make recording`: writes docs/first-run.svg, the first commands of the README in a terminal.

Owns that picture: it runs the commands in a pseudo-terminal and draws each line at the time at
which it came. Needs nothing but Python and the installed `opstrand`.
"""

from __future__ import annotations

import os
import pty
import re
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

CHECKOUT = Path(__file__).resolve().parents[1]
PICTURE = CHECKOUT / "docs" / "first-run.svg"
FIRST = "```console\n$ opstrand run"
COLUMNS, ROWS = 100, 30
#: Seconds that a command line stands there before its output, and that the output does.
TYPED, READ = 0.8, 1.6
#: A longer pause between two lines is cut to this.
PAUSE = 1.0
#: What stands in the picture for the folder of runs: the one that a user has.
FOLDER = "~/.local/share/opstrand/runs"
#: The size of a character and of a line, and the space around the text, in pixels.
CHARACTER, LINE, BORDER = 8.43, 20, 16
#: What of the SGR codes the command line uses, as classes of the picture.
CLASSES = {"1": "b", "2": "d", "31": "r", "32": "g", "33": "y", "36": "c"}
STYLE = """
svg{background:#16181d;border-radius:8px}
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#d7dae0;white-space:pre}
.b{font-weight:bold}.d{opacity:.6}.r{fill:#ef6b73}.g{fill:#8ccf7e}.y{fill:#e5c76b}.c{fill:#6cbfbf}
@keyframes come{from{opacity:0}}
text{animation:come 1ms backwards}
@media (prefers-reduced-motion:reduce){text{animation:none}}
"""
_SGR = re.compile(r"\x1b\[([0-9;]*)m")


@dataclass(frozen=True)
class Line:
    """A line of the terminal, with its escapes, and when it came (seconds)."""

    text: str
    at: float


def read_commands() -> list[str]:
    """Return the commands of the README's first block that runs a file, without their comments."""
    block = (CHECKOUT / "README.md").read_text().partition(FIRST)[2].partition("```")[0]
    lines = [line[2:] for line in f"{FIRST}{block}".splitlines() if line.startswith("$ ")]
    return [line.partition("  #")[0].rstrip() for line in lines]


def record(command: str, records: Path) -> Iterator[Line]:
    """Run the command in a terminal and yield its lines. SystemExit if it fails."""
    begun, shown = time.monotonic(), b""
    pid, ours = pty.fork()
    if pid == 0:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        kept = {"PATH": path, "HOME": os.environ["HOME"], "TERM": "xterm-256color"}
        os.chdir(CHECKOUT)
        os.execvpe("bash", ["bash", "-c", command], {**kept, "OPSTRAND_LOCAL": str(records)})
    termios.tcsetwinsize(ours, (ROWS, COLUMNS))
    while part := _read(ours):
        *whole, rest = (shown + part).split(b"\n")
        yield from (Line(_last_state(line), time.monotonic() - begun) for line in whole)
        shown = rest
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]):
        raise SystemExit(f"{command}: it failed: {shown!r}")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so when the other end is closed
        return b""


def _last_state(line: bytes) -> str:
    """Return what is left of a line that was drawn several times, as a live line is."""
    text = line.decode(errors="replace").rstrip("\r")
    return text.rpartition("\r")[2].replace("\x1b[K", "")


def draw(lines: list[Line]) -> str:
    """Return the picture. Where nothing moves, it shows all lines."""
    width, height = round(COLUMNS * CHARACTER) + 2 * BORDER, len(lines) * LINE + 2 * BORDER
    rows = [
        f'<text x="{BORDER}" y="{BORDER + LINE * number + 14}" '
        f'style="animation-delay:{line.at:.1f}s">{_draw_text(line.text)}</text>'
        for number, line in enumerate(lines)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" xml:space="preserve" role="img">\n'
        f"<title>The first commands of the README in a terminal</title>\n"
        f"<style>{STYLE}</style>\n" + "\n".join(rows) + "\n</svg>\n"
    )


def _draw_text(text: str) -> str:
    drawn, active = "", ""
    for position, part in enumerate(_SGR.split(text)):
        if position % 2:
            active = CLASSES.get(part, "")
        elif part:
            drawn += f'<tspan class="{active}">{escape(part)}</tspan>' if active else escape(part)
    return drawn


def main() -> None:
    lines: list[Line] = []
    now = 0.0
    with tempfile.TemporaryDirectory() as records:
        for command in read_commands():
            lines.append(Line(f"$ \x1b[1m{command}\x1b[0m", now))
            now, before = now + TYPED, 0.0
            for line in record(command, Path(records)):
                now, before = now + min(line.at - before, PAUSE), line.at
                lines.append(Line(line.text.replace(records, FOLDER), now))
            now += READ
    PICTURE.write_text(draw(lines))
    print(f"{PICTURE.relative_to(CHECKOUT)}: {len(lines)} lines, {PICTURE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
