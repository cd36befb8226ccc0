"""Takes the pictures of the site: a plan, its plot, a merge in a terminal, the dashboard's page, the site itself.

``python docs/screenshots.py`` writes them all to ``docs/images``, from runs that it makes: two tables are
written and merged, once by the command and once in Python. ``python docs/screenshots.py site`` takes those
whose name begins with ``site``. It needs what the tests need, and Chromium.

Covers: the runs, the pictures, their size; that no name of the machine is in them.
Does not cover: where they stand, and their words for those who do not see them (the pages have both).
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import html
import io
import logging
import os
import pty
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
IMAGES = ROOT / "docs" / "images"
THEMES = ("light", "dark")
PICTURES = (
    *(f"plan-{theme}" for theme in THEMES),
    "plan-plot",
    "measured-plot",
    "terminal",
    *(f"dashboard-{theme}" for theme in THEMES),
    *(f"site-{width}-{theme}" for width in (1280, 390) for theme in THEMES),
)
_COLOURS = 64
_SCALE = 1.5
_WORKERS, _MEMORY = 2, "600MiB"
_COLUMNS = 116

# -- The runs -----------------------------------------------------------------------------


def write_tables(directory: Path) -> None:
    """Write orders of items, some of which are ordered far more often, and what shops ask for them."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    items = 200_000
    for name, files, rows in (("orders", 12, 500_000), ("offers", 6, 400_000)):
        (directory / name).mkdir()
        for number in range(files):
            columns: dict[str, Any] = {"item": (items * rng.random(rows) ** 1.5).astype("int64")}
            if name == "orders":
                columns["day"] = np.datetime64("2026-01-01") + rng.integers(0, 300, rows).astype("m8[D]")
                columns["count"] = rng.integers(1, 20, rows)
            else:
                columns["shop"] = pd.array(
                    np.char.add("shop ", rng.integers(0, 4000, rows).astype(str)), dtype="str"
                )
                columns["price"] = rng.uniform(1, 100, rows).round(2)
            pd.DataFrame(columns).to_parquet(directory / name / f"part-{number}.parquet", index=False)


def merged_in_terminal(directory: Path) -> str:
    """Run ``safeframe merge`` in a terminal, and return what is on its screen halfway, with its colours."""
    command = (
        f"safeframe merge orders offers joined --on item --how left --workers {_WORKERS} --memory {_MEMORY}"
    )
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 40, _COLUMNS, 0, 0))
    running = subprocess.Popen(
        [sys.executable, "-c", "from safeframe.cli import main; main()", *command.split()[1:]],
        cwd=directory,
        env=os.environ | _settings() | {"TERM": "xterm-256color", "PYTHONPATH": str(ROOT)},
        stdin=other,
        stdout=other,
        stderr=other,
    )
    os.close(other)
    seen = b""
    with contextlib.suppress(OSError):  # the terminal ends with its last process
        while read := os.read(main, 65536):
            seen += read
    os.close(main)
    text = seen.decode()
    if running.wait() != 0:
        raise RuntimeError(text)
    screens = [f"$ {command}\n{screen}" for screen in _screens(text)]
    return min(screens, key=lambda screen: abs(_written(screen) - 50))


def _settings() -> dict[str, str]:
    """Return places that are named without the machine's directories."""
    return {"DASK_SAFEFRAME__STAGING__DIRECTORY": "scratch", "DASK_TEMPORARY_DIRECTORY": "scratch"}


def _screens(text: str) -> Iterator[str]:
    """Yield the screen before each drawing of the bars: whole lines are erased and written again."""
    lines, row = [""], 0
    for token in re.findall(r"\r(?=\x1b\[2K)|\x1b\[[0-9;?]*[A-Za-z]|\n|[^\x1b\r\n]+", text):
        if token == "\r":
            yield "\n".join(lines)
        elif token == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif token == "\x1b[2K":
            lines[row] = ""
        elif re.fullmatch(r"\x1b\[\d*A", token):
            row -= int(token[2:-1] or 1)
        elif not token.startswith("\x1b") or token.endswith("m"):
            lines[row] += token


def _written(screen: str) -> int:
    """Return how many hundredths are written; none where that bar is not there."""
    found = re.search(r"write .*?(\d+)%", re.sub(r"\x1b\[[0-9;]*m", "", screen))
    return int(found[1]) if found else -100


def merged_in_python(directory: Path, look: Callable[[str], None]) -> tuple[Any, Any]:
    """Plan the same merge, run it while somebody looks at the dashboard's page, and return plan and measurement."""
    import dask
    import dask.dataframe as dd
    from distributed import Client

    import safeframe

    dask.config.set({"safeframe.staging.directory": "scratch", "temporary-directory": "scratch"})
    orders, offers = (dd.read_parquet(directory / name) for name in ("orders", "offers"))
    with (
        safeframe.LocalCluster(
            n_workers=_WORKERS,
            threads_per_worker=1,
            memory_limit=_MEMORY,
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", safeframe.OutputExplosionWarning)
        plan = safeframe.plan_merge(orders, offers, on="item", how="left").written
        merged = safeframe.merge(orders, offers, on="item", how="left")
        with safeframe.measure(plan) as measured:
            write = threading.Thread(
                target=safeframe.to_parquet, args=(merged, "written"), kwargs={"write_index": False}
            )
            write.start()
            look(cluster.dashboard_link.replace("/status", "/safeframe"))
            write.join()
    return plan, measured


# -- The pictures -------------------------------------------------------------------------


class Camera:
    """Takes pictures of pages in Chromium, of few colours, and refuses those that name this machine."""

    def __init__(self, browser: Any, private: list[str]) -> None:
        self._browser = browser
        self._private = private

    def take(
        self, name: str, address: str, *, width: int, height: int = 100, theme: str = "light", whole: bool = True,
        scale: float = _SCALE, prepare: str = "",
    ) -> None:  # fmt: skip
        """Take a picture of a page, or of the part of it that fits a window."""
        page = self._browser.new_page(
            viewport={"width": width, "height": height}, device_scale_factor=scale, color_scheme=theme
        )
        page.goto(address)
        if prepare:
            page.evaluate(prepare)
        self.check(page.inner_text("body"))
        self.keep(name, page.screenshot(full_page=whole))
        page.close()

    def check(self, text: str) -> None:
        """Refuse text that says whose machine this is."""
        for word in self._private:
            if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text):
                message = f"{word!r} would be seen in a picture: {text[:2000]}"
                raise RuntimeError(message)

    @staticmethod
    def keep(name: str, png: bytes) -> None:
        """Write a picture with a palette: pages of text need few colours."""
        from PIL import Image

        picture = Image.open(io.BytesIO(png)).convert("RGB")
        picture = picture.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        picture.save(IMAGES / f"{name}.png", optimize=True)
        print(f"{name}.png: {(IMAGES / f'{name}.png').stat().st_size:,} bytes")


_TERMINAL = """<!doctype html><meta charset="utf-8"><body style="margin:0;background:#1c1f26">
<pre style="margin:0;padding:16px 18px;color:#d8dee9;font:14px/1.4 'DejaVu Sans Mono',monospace">{code}</pre>"""
_NOTEBOOK = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; padding: 12px 16px 12px 8px; font: 14px system-ui, "DejaVu Sans", sans-serif; background: #fff; }}
.cell {{ display: grid; grid-template-columns: 3.2rem 1fr; gap: .5rem; margin-bottom: .6rem; }}
.prompt {{ font: 13px "DejaVu Sans Mono", monospace; color: #8a8a8a; text-align: right; padding-top: .55rem; }}
pre {{ margin: 0; padding: .5rem .7rem; border: 1px solid #d5d5d5; background: #f7f7f7; font: 13px/1.45 "DejaVu Sans Mono", monospace; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #111; }} pre {{ background: #1c1c1c; border-color: #3a3a3a; color: #e0e0e0; }} }}
</style><body><div class="cell"><div class="prompt">[3]:</div><pre>{code}</pre></div>
<div class="cell"><div class="prompt">[3]:</div><div>{shown}</div></div>"""


def take_terminal(camera: Camera, directory: Path) -> None:
    """Take the command in its terminal."""
    from rich.console import Console
    from rich.terminal_theme import DIMMED_MONOKAI
    from rich.text import Text

    screen = merged_in_terminal(directory)
    console = Console(
        record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print(Text.from_ansi(screen), overflow="fold")
    code = console.export_html(theme=DIMMED_MONOKAI, inline_styles=True, code_format="{code}")
    page = directory / "terminal.html"
    page.write_text(_TERMINAL.format(code=code), encoding="utf-8")
    camera.take("terminal", page.as_uri(), width=1020)


def take_run(camera: Camera, directory: Path) -> None:
    """Take the plan as a notebook shows it, both plots, and the dashboard's page while the plan runs."""

    def look(address: str) -> None:
        time.sleep(8)
        for theme in THEMES:
            camera.take(f"dashboard-{theme}", address, width=1000, theme=theme)

    plan, measured = merged_in_python(directory, look)
    code = 'plan = safeframe.plan_merge(orders, offers, on="item", how="left").written\nplan'
    page = directory / "plan.html"
    page.write_text(_NOTEBOOK.format(code=html.escape(code), shown=plan._repr_html_()), encoding="utf-8")
    for theme in THEMES:
        camera.take(f"plan-{theme}", page.as_uri(), width=900, theme=theme)
    camera.check(plan.details())
    for name, drawn in (("plan-plot", plan), ("measured-plot", measured)):
        kept = io.BytesIO()
        figure = drawn.plot()
        getattr(figure, "figure", figure).savefig(kept, format="png", dpi=110)
        camera.keep(name, kept.getvalue())


def take_site(camera: Camera, directory: Path) -> None:
    """Build the site, and take a page of it in a window and on a telephone."""
    site = directory / "site"
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", "-d", str(directory / "doctrees")]
    subprocess.run([*command, str(ROOT / "docs"), str(site)], cwd=ROOT, check=True)
    page = (site / "concepts" / "strategies.html").as_uri()
    for theme in THEMES:
        for width, height, scale in ((1280, 800, 1.0), (390, 800, 1.5)):
            camera.take(
                f"site-{width}-{theme}",
                page,
                width=width,
                height=height,
                theme=theme,
                whole=False,
                scale=scale,
            )


def main() -> None:
    """Take the pictures whose names begin as the first argument does; all of them without one."""
    from playwright.sync_api import sync_playwright

    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        sys.exit("Chromium is needed: apt-get install chromium")
    IMAGES.mkdir(exist_ok=True)
    takes = {take_terminal: "terminal", take_run: "plan measured dashboard", take_site: "site"}
    with (
        tempfile.TemporaryDirectory(prefix="safeframe-screenshots-") as name,
        sync_playwright() as playwright,
    ):
        directory = Path(name)
        private = [
            socket.gethostname(),
            getpass.getuser(),
            str(Path.home()),
            str(ROOT),
            tempfile.gettempdir(),
        ]
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        camera = Camera(browser, private)
        write_tables(directory)
        with contextlib.chdir(directory):
            for take, names in takes.items():
                if any(one.startswith(wanted) for one in names.split()):
                    take(camera, directory)
        browser.close()


if __name__ == "__main__":
    main()
