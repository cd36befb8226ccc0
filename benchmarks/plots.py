"""Results as pictures.

Covers: seconds and memory of the engines on one situation; where a family has several,
seconds for each GB against the size, or seconds side by side.
Does not cover: tables (:mod:`benchmarks.markdown`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.summaries import FINISHED, Summary

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["plot_family"]

_GOOD, _BAD = "#2a6f97", "#c44536"
_COLOURS = {"safeframe": _GOOD, "dask": "#e09f3e", "duckdb": "#6a994e", "polars": "#7b2cbf"}


def plot_family(results: list[dict[str, Any]], path: Path) -> None:
    """Draw the results of one family, in the order of their sizes.

    Parameters
    ----------
    results
        As they are in the JSON files.
    path
        The picture to write.
    """
    if len(results) == 1 and results[0].get("family", results[0]["situation"]) == results[0]["situation"]:
        _plot_one(results[0], path)
    elif all(result["nbytes"] for result in results):
        _plot_sizes(results, path)
    else:
        _plot_situations(results, path)


def _plot_sizes(results: list[dict[str, Any]], path: Path) -> None:
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(8, 4.5), constrained_layout=True)
    by_engine: dict[str, list[tuple[float, Summary]]] = {}
    for result in results:
        for cells in result["summary"]:
            by_engine.setdefault(cells["engine"], []).append((result["nbytes"] / 1e9, Summary(**cells)))
    for engine, points in by_engine.items():
        colour = _COLOURS.get(engine)
        timed = [(gb, s.seconds_per_gb, s) for gb, s in points if s.seconds_per_gb is not None]
        axes.plot(
            [gb for gb, _, _ in timed], [per for _, per, _ in timed], marker="o", color=colour, label=engine
        )
        for gb, per, summary in timed:
            if summary.outcome != FINISHED:
                axes.plot([gb], [per], marker="X", markersize=11, color=_BAD)
        # Without seconds there is no height: what ended it stands at the foot.
        for gb in (gb for gb, s in points if s.seconds_per_gb is None):
            axes.plot([gb], [0], marker="X", markersize=11, color=colour, clip_on=False)
    axes.set_xscale("log", base=2)
    sizes = [result["nbytes"] / 1e9 for result in results]
    axes.set_xticks(sizes, [f"{gb:.3g}" for gb in sizes])
    axes.minorticks_off()
    axes.set_ylim(bottom=0)
    axes.set_xlabel("GB in memory; crosses: not finished")
    axes.set_ylabel("seconds per GB")
    axes.legend()
    figure.suptitle(results[0]["family"])
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _plot_situations(results: list[dict[str, Any]], path: Path) -> None:
    plt = _pyplot()
    figure, axes = plt.subplots(figsize=(8, 4.5), constrained_layout=True)
    names = [result["situation"] for result in results]
    engines = list(dict.fromkeys(cells["engine"] for result in results for cells in result["summary"]))
    width = 0.8 / len(engines)
    for number, engine in enumerate(engines):
        for place, result in enumerate(results):
            for summary in (Summary(**cells) for cells in result["summary"] if cells["engine"] == engine):
                at = place + (number - (len(engines) - 1) / 2) * width
                axes.bar([at], [summary.seconds or 0], width, color=_COLOURS.get(engine))
                if summary.outcome != FINISHED:
                    axes.plot([at], [summary.seconds or 0], marker="X", color=_BAD, clip_on=False)
    handles = [plt.Rectangle((0, 0), 1, 1, color=_COLOURS.get(engine)) for engine in engines]
    axes.legend(handles, engines)
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel("seconds, cluster start excluded; crosses: not finished")
    figure.suptitle(results[0]["family"])
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _plot_one(result: dict[str, Any], path: Path) -> None:
    plt = _pyplot()
    summaries = [Summary(**summary) for summary in result["summary"]]
    names = [s.engine for s in summaries]
    good = [s.outcome == FINISHED for s in summaries]
    colours = [_GOOD if ok else _BAD for ok in good]
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 1.4 + 0.55 * len(names)), sharey=True, constrained_layout=True
    )
    bars = left.barh(names, [s.seconds or 0 for s in summaries], color=colours)
    left.bar_label(
        bars,
        [
            f" {s.seconds:.1f} s"
            if s.seconds and ok
            else f" {s.outcome}, {s.restarts} restarts, {s.oom_kills} kills"
            for s, ok in zip(summaries, good, strict=True)
        ],
    )
    left.set_xlabel("seconds, cluster start excluded")
    left.margins(x=0.25)
    peaks = [s.resident_peak_nbytes / 2**20 for s in summaries]
    bars = right.barh(names, peaks, color=colours)
    right.bar_label(
        bars,
        [f"{peak:,.0f} MiB" for peak in peaks],
        padding=4,
        bbox={"facecolor": "white", "edgecolor": "none"},
    )
    for position, summary in enumerate(summaries):
        limit = summary.limit_nbytes / 2**20
        right.plot([limit, limit], [position - 0.45, position + 0.45], color="black", linewidth=2)
    right.set_xlabel("resident peak in MiB, largest worker; black: limit")
    right.margins(x=0.25)
    left.invert_yaxis()
    figure.suptitle(f"{result['situation']}: {result['title']}", fontsize=10)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _pyplot() -> Any:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    return pyplot
