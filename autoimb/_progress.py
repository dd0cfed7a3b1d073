"""Show a search's progress in a terminal or notebook; silent everywhere else."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from autoimb._trials import Progress


def _show_nothing(_progress: Progress) -> None:
    """Show nothing."""


@contextlib.contextmanager
def call_callbacks(
    estimator: Any, n_trials: int | None
) -> Iterator[Callable[[Progress], bool]]:
    """Yield a callback that hands every trial on to scikit-learn's callbacks.

    A trial is a subtask of the fit. It returns whether a callback asks to stop.
    """
    root = estimator._init_callback_context(max_subtasks=n_trials)
    root.call_on_fit_task_begin(estimator=estimator)
    n_seen = 0

    def call(progress: Progress) -> bool:
        nonlocal n_seen
        stops = False
        # A stored search may know more trials than it is asked for.
        n_done = progress.n_done if n_trials is None else min(n_trials, progress.n_done)
        for _ in range(n_done - n_seen):
            trial = root.subcontext(task_name="trial")
            trial.call_on_fit_task_begin(estimator=estimator)
            stops |= trial.call_on_fit_task_end(estimator=estimator)
        n_seen = max(n_seen, n_done)
        return stops

    yield call
    root.call_on_fit_task_end(estimator=estimator)


@contextlib.contextmanager
def progress_display(
    verbose: int, metric_label: str, name_of: Callable[[Any], str]
) -> Iterator[Callable[[Progress], None]]:
    """Yield a callback that draws trials done, best so far and time left.

    Nothing is drawn, and rich is not even loaded, unless `verbose` asks for it and
    someone is watching.
    """
    if verbose < 1:
        yield _show_nothing
        return
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Display

    console = Console(stderr=True)
    if not (console.is_terminal or console.is_jupyter):
        yield _show_nothing
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[left]}"),
        TextColumn("[bold]{task.fields[best]}"),
    )
    with Display(*columns, console=console, transient=True) as display:
        task = display.add_task("searching", total=1.0, left="", best="")

        def show(progress: Progress) -> None:
            display.update(
                task,
                completed=_share_done(progress),
                description=_counts(progress),
                left=_left(progress),
                best=_best(progress, metric_label, name_of),
            )

        yield show


def _share_done(progress: Progress) -> float:
    """Return how much of the nearer limit is used up."""
    shares = [0.0]
    if progress.n_trials:
        shares.append(progress.n_done / progress.n_trials)
    if progress.seconds:
        shares.append(progress.elapsed / progress.seconds)
    return min(1.0, max(shares))


def _counts(progress: Progress) -> str:
    """Return how many trials are done."""
    failed = f", {progress.n_failed} failed" if progress.n_failed else ""
    return f"{progress.n_done} trials done{failed}"


def _left(progress: Progress) -> str:
    """Return what is left, in seconds or trials."""
    if progress.seconds:
        return f"{max(0.0, progress.seconds - progress.elapsed):.0f} s left"
    return f"{(progress.n_trials or 0) - progress.n_done} trials left"


def _best(progress: Progress, metric_label: str, name_of: Callable[[Any], str]) -> str:
    """Return the best score so far and whose it is."""
    if progress.best is None:
        return ""
    name = name_of(progress.best_strategy)
    return f"best {metric_label} so far {progress.best:.3f} ({name})"
