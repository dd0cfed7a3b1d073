"""Show a search's progress in a terminal or notebook; silent everywhere else."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from autoimb.exceptions import BadInputError, is_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from autoimb._search.trials import Progress


@contextlib.contextmanager
def call_callbacks(
    estimator: Any, n_trials: int | None
) -> Iterator[Callable[[Progress], bool]]:
    """Yield a function that passes every trial on to scikit-learn's callbacks.

    A trial is a subtask of the fit. The function returns whether a callback asks to
    stop.
    """
    root = estimator._init_callback_context(max_subtasks=n_trials)
    root.call_on_fit_task_begin(estimator=estimator)
    n_seen = 0

    def call(progress: Progress) -> bool:
        nonlocal n_seen
        stops = False
        # A stored search may hold more trials than n_trials.
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
    """Yield a function that shows trials done, the best so far and the time left.

    It shows nothing if `verbose` is 0, when rich is not loaded either, or if there is
    neither a terminal nor a notebook.
    """
    console = _console(verbose)
    if console is None:
        yield lambda _: None
        return
    from rich.progress import BarColumn, SpinnerColumn, TextColumn
    from rich.progress import Progress as Display

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[left]}"),
        TextColumn("[bold]{task.fields[best]}"),
    )
    with Display(*columns, console=console, transient=True) as display:
        task = display.add_task("searching", total=1.0, left="", best="")
        yield lambda progress: display.update(
            task, **_task_fields(progress, metric_label, name_of)
        )


@contextlib.contextmanager
def stage_display(verbose: int, stage: str) -> Iterator[None]:
    """Show what is being done after the search, where `progress_display` shows it."""
    console = _console(verbose)
    if console is None:
        yield
        return
    with console.status(stage):
        yield


def _console(verbose: int) -> Console | None:
    """Return where to show progress; None if it is not wanted, or cannot be shown."""
    if not (isinstance(verbose, bool) or is_number(verbose)):
        raise BadInputError(f"{verbose=} must be a number: 0 shows nothing, 1 does.")
    if verbose < 1:
        return None
    from rich.console import Console

    console = Console(stderr=True)
    return console if console.is_terminal or console.is_jupyter else None


def _task_fields(
    progress: Progress, metric_label: str, name_of: Callable[[Any], str]
) -> dict[str, Any]:
    """Return the share that is done, and the texts beside the bar."""
    n_done, n_trials, budget = progress.n_done, progress.n_trials, progress.time_budget
    shares, left, best = [0.0], f"{(n_trials or 0) - n_done} trials left", ""
    if n_trials:
        shares.append(n_done / n_trials)
    if budget:
        shares.append(progress.elapsed / budget)
        left = f"{max(0.0, budget - progress.elapsed):.0f} s left"
    if (strategy := progress.best_strategy) is not None:
        best = f"best {metric_label} so far {progress.best:.3f} ({name_of(strategy)})"
    failed = f", {progress.n_failed} failed" if progress.n_failed else ""
    return {
        "completed": min(1.0, max(shares)),
        "description": f"{n_done} trials done{failed}",
        "left": left,
        "best": best,
    }
