"""A project with a run of every sort, as the API would have it: what the pages are tried on.

Owns the bodies, logs and files. The texts of HOSTILE stand wherever a user's text can stand.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from pathlib import Path
from typing import Any

from opstrand.artifacts.folder import RunFiles
from opstrand.core.names import run_uuid
from opstrand.types import Body
from tests.support.builders import child_of, parent_of
from tests.support.loopback_api import LoopbackApi

PROJECT = "quick-start"
#: Each would run a script where a page took it for markup, an address or code.
HOSTILE = [
    pattern.replace("RUN", f"window.ran={index}")
    for index, pattern in enumerate(
        [
            "<script>RUN</script>",
            "</script><script>RUN</script>",
            "<img src=x onerror=RUN>",
            "<svg onload=RUN>",
            "<svg><script>RUN</script></svg>",
            "<body onload=RUN>",
            "<iframe srcdoc='<script>parent.RUN</script>'>",
            "<iframe src=javascript:parent.RUN>",
            "javascript:RUN",
            "JaVaScRiPt:RUN",
            "data:text/html,<script>parent.RUN</script>",
            "<a href=javascript:RUN>x</a>",
            "<a href='&#106;avascript:RUN'>x</a>",
            "<math><mi xlink:href='javascript:RUN'>",
            "<details open ontoggle=RUN>",
            "<input autofocus onfocus=RUN>",
            "<select autofocus onfocus=RUN>",
            "<video src=x onerror=RUN>",
            "<audio src=x onerror=RUN>",
            "<object data=javascript:RUN>",
            "<embed src=javascript:RUN>",
            "<form action=javascript:RUN><input type=submit>",
            "<button formaction=javascript:RUN>",
            "<link rel=stylesheet href=javascript:RUN>",
            "<style>@import 'javascript:RUN';</style>",
            "<meta http-equiv=refresh content='0;javascript:RUN'>",
            "<base href=javascript:RUN//>",
            "<template><script>RUN</script></template>",
            "<noscript><p title='</noscript><img src=x onerror=RUN>'>",
            "<!--<img src='--><img src=x onerror=RUN>'>",
            "<![CDATA[<script>RUN</script>]]>",
            "'\"><script>RUN</script>",
            '" onmouseover=RUN x="',
            "' autofocus onfocus=RUN x='",
            "`${RUN}`",
            "${RUN}",
            "{{constructor.constructor('RUN')()}}",
            "[x](javascript:RUN)",
            '![x](x" onerror="RUN)',
            "\x1b]8;;javascript:RUN\x07link\x1b]8;;\x07",
            "\x1b[31m<img src=x onerror=RUN>\x1b[0m",
            "\x1b[38;2;1;2;3m<script>RUN</script>",
            "\u202e<script>RUN</script>",
            "<scr\u0000ipt>RUN</scr\u0000ipt>".replace("\u0000", "\u200b"),
            "＜script＞RUN＜/script＞",
            "&lt;script&gt;RUN&lt;/script&gt;",
            "%3Cscript%3ERUN%3C/script%3E",
            "\\u003cscript\\u003eRUN\\u003c/script\\u003e",
            "<x contenteditable onblur=RUN tabindex=1 id=x>",
            "<marquee onstart=RUN>",
        ]
    )
]
JOB: dict[str, Any] = {"component": {"run": {"kind": "job", "container": {"image": "busybox"}}}}


def _step(name: str, *upstreams: str) -> dict[str, Any]:
    given = {"dependencies": list(upstreams)} if upstreams else {}
    return {"name": name, "component": JOB["component"], **given}


OPERATIONS = [
    _step("fetch"),
    _step("clean", "fetch"),
    _step("features", "clean"),
    _step("train", "features"),
    _step("baseline", "clean"),
    _step("report", "train", "baseline"),
]


def run(number: int, name: str, phase: str, /, **more: Any) -> Body:
    """Return a job; `spec` in `more` is the operation's, everything else of the status."""
    uid = f"00000000-0000-4000-8000-{number:012}"
    spec, metadata = more.pop("spec", JOB), more.pop("metadata", {})
    minute = f"2026-01-02T03:{number % 60:02}"
    ended = {"status": phase.lower(), "at": f"{minute}:50Z"}
    known = {
        "uuid": run_uuid(uid),
        "kind": "job",
        "phase": phase,
        "reason": phase,
        "startedAt": f"{minute}:10Z",
        "history": [
            {"status": "created", "at": f"{minute}:05Z"},
            {"status": "running", "at": f"{minute}:10Z"},
            *([] if phase in ("Running", "Waiting") else [ended]),
        ],
    }
    return {
        "apiVersion": "opstrand.dev/v1",
        "kind": "Operation",
        "metadata": {
            "name": name,
            "namespace": PROJECT,
            "uid": uid,
            "creationTimestamp": f"{minute}:05Z",
            **metadata,
        },
        "spec": spec,
        "status": {**known, **more},
    }


PREP = run(
    1,
    "prep",
    "Succeeded",
    duration=61.5,
    outputs={"rows": 120_000, "path": "prep/data.csv", "columns": ["a", "b", "c"]},
    tags=["nightly"],
)
TRAIN = run(
    2,
    "train",
    "Succeeded",
    duration=612,
    inputs={"lr": 0.01, "rows": 120_000, "epochs": 20},
    outputs={"loss": 0.0421, "accuracy": 0.9731},
    tags=["nightly", "resnet"],
    upstream=[
        {
            "uuid": PREP["status"]["uuid"],
            "name": "prep",
            "kind": "run",
            "values": {"rows": "outputs.rows"},
        }
    ],
    artifacts=[{"name": "model", "kind": "model", "path": "outputs/model.bin", "isInput": False}],
    pod={"name": "train-00000000-0", "uid": "p", "node": "node-1"},
    spec={
        **JOB,
        "description": "Trains the model on what `prep` made.",
        "params": {"lr": {"value": 0.01}, "rows": {"ref": "ops.prep", "value": "outputs.rows"}},
    },
)
EVAL = run(
    3,
    "eval",
    "Failed",
    duration=3.2,
    reason="ContainerFailed",
    message="exit code 1: ValueError: expected 10 classes, found 12",
    inputs={"loss": 0.0421},
    attempt=1,
    upstream=[
        {
            "uuid": TRAIN["status"]["uuid"],
            "name": "train",
            "kind": "run",
            "values": {"loss": "outputs.loss"},
        }
    ],
)
LIVE = run(4, "serve-batch", "Running", inputs={"batch": 64}, progress=0.4)
WAITING = run(
    5,
    "deploy",
    "Waiting",
    reason="AwaitingApproval",
    message="waits for approval: opstrand approve deploy",
    startedAt=None,
    spec={**JOB, "isApproved": False},
)
FLOW = {
    **parent_of(
        "nightly-flow",
        "ssr.w.",
        {"component": {"run": {"kind": "dag", "operations": OPERATIONS}}},
        reason="Running",
        startedAt="2026-01-02T03:06:10Z",
    ),
}
FLOW["metadata"] |= {"namespace": PROJECT, "creationTimestamp": "2026-01-02T03:06:05Z"}
FLOW["status"]["uuid"] = run_uuid(FLOW["metadata"]["uid"])
MEMBERS = [
    child_of(FLOW, "fetch", "Succeeded", duration=4),
    child_of(FLOW, "clean", "Succeeded", duration=11.2),
    child_of(FLOW, "features", "Running", startedAt="2026-01-02T03:07:10Z"),
    child_of(
        FLOW, "baseline", "Waiting", reason="QuotaExceeded", message="waits for quota: cpu is used"
    ),
]
TRIED = {"inputs": [{"name": "lr", "type": "float"}], **JOB["component"]}
GRID = parent_of(
    "lr-grid",
    "sssf",
    {
        "component": TRIED,
        "matrix": {
            "kind": "grid",
            "params": {"lr": {"kind": "choice", "value": [0.1, 0.01, 0.001, 1.0]}},
        },
    },
    kind="matrix",
    phase="Failed",
    reason="RunsFailed",
    message="1 of 4 runs failed",
    search={"kind": "grid", "metric": "loss", "minimize": True},
)
GRID["metadata"] |= {"namespace": PROJECT, "creationTimestamp": "2026-01-02T03:08:05Z"}
GRID["status"]["uuid"] = run_uuid(GRID["metadata"]["uid"])
TRIALS = [
    child_of(
        GRID,
        index,
        "Failed" if index == 3 else "Succeeded",
        {"component": TRIED, "params": {"lr": {"value": lr}}},
        duration=10 + index,
        inputs={"lr": lr},
        outputs={} if index == 3 else {"loss": [0.4, 0.12, 0.31][index]},
    )
    for index, lr in enumerate([0.1, 0.01, 0.001, 1.0])
]
GRID["status"]["best"] = {
    "name": TRIALS[1]["metadata"]["name"],
    "uuid": run_uuid(TRIALS[1]["metadata"]["uid"]),
    "value": 0.12,
}
NASTY = run(
    9,
    "nasty",
    "Failed",
    reason="ContainerFailed",
    message=" ".join(HOSTILE),
    name=HOSTILE[0],
    description=" ".join(HOSTILE),
    tags=HOSTILE,
    meta={text: text for text in HOSTILE},
    inputs={text: text for text in HOSTILE},
    outputs={text: [text, {text: text}] for text in HOSTILE},
    artifacts=[{"name": text, "kind": text, "path": text} for text in HOSTILE],
    upstream=[
        {
            "uuid": "c" * 32,
            "name": HOSTILE[2],
            "kind": HOSTILE[3],
            "values": {HOSTILE[4]: HOSTILE[5]},
        }
    ],
    spec={**JOB, "params": {text: {"value": text} for text in HOSTILE}},
)
ALL = [PREP, TRAIN, EVAL, LIVE, WAITING, FLOW, *MEMBERS, GRID, *TRIALS, NASTY]


def uuid_of(body: Body) -> str:
    return str(body["status"].get("uuid") or run_uuid(body["metadata"]["uid"]))


def _write_series(folder: Path, name: str, values: list[float]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["step|timestamp|value"]
    for step, value in enumerate(values):
        lines.append(f"{step}|2026-01-02T03:{step // 60:02}:{step % 60:02}+00:00|{value}")
    (folder / f"{name}.plx").write_text("\n".join(lines) + "\n")


def _png() -> bytes:
    """Return a small picture: a gradient."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    rows = b"".join(
        b"\0" + b"".join(bytes((x * 4, y * 4, 160)) for x in range(64)) for y in range(64)
    )
    head = struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(kind, data)
        for kind, data in ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )


def _write_files(base: Path) -> None:
    folder = RunFiles(base, f"uid-of-{PROJECT}", uuid_of(TRAIN)).folder
    loss = [math.exp(-step / 40) + 0.05 * math.sin(step) for step in range(200)]
    _write_series(folder / "events/metric", "loss", loss)
    _write_series(folder / "events/metric", "accuracy", [1 - value * 0.6 for value in loss])
    outputs = folder / "outputs"
    outputs.mkdir()
    (outputs / "report.csv").write_text('class,precision\ncat,0.97\n"dog, large",0.93\n')
    (outputs / "empty.csv").write_text("")
    (outputs / "long.txt").write_text("a line of many\n" * 20_000)
    (outputs / "notes.txt").write_text("Nothing of note.\n")
    (outputs / "model.bin").write_bytes(bytes(range(256)) * 8)
    (outputs / "curve.png").write_bytes(_png())
    nasty = RunFiles(base, f"uid-of-{PROJECT}", uuid_of(NASTY)).folder
    nasty.mkdir(parents=True)
    for index, text in enumerate(HOSTILE):
        (nasty / f"{index}-{text.replace('/', '_')[:60]}.txt").write_text(text)
    (nasty / "all.csv").write_text("\n".join(json.dumps(text) + ",1" for text in HOSTILE))
    (nasty / "page.html").write_text("\n".join(HOSTILE))
    (nasty / "image.svg").write_text(
        "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'>"
        "<script>parent.ran=1;window.ran=1</script></svg>"
    )
    _write_series(nasty / "events/metric", HOSTILE[2].replace("/", "_"), [1, 2, 3])


def set_scene(api: LoopbackApi) -> None:
    """Store all of it. The API's files must have a folder."""
    for body in ALL:
        api.do(api.runs.put(body))
    for number in range(40):
        colour = 31 + number % 6
        text = f"epoch {number}: \x1b[{colour}mloss={1 / (number + 1):.4f}\x1b[0m"
        api.do(
            api.runs.write_log(uuid_of(TRAIN), text, at=f"2026-01-02T03:02:{number:02}.000000000Z")
        )
    for text in HOSTILE:
        api.do(api.runs.write_log(uuid_of(NASTY), text))
    api.do(api.runs.write_log(uuid_of(LIVE), "the first batch"))
    assert api.files is not None
    _write_files(api.files)
