"""Trees and curves of a model as a few long arrays.

skops writes a tree as some forty nodes of JSON and two files, so that the thousands of
trees of an ensemble take tens of megabytes, and seconds to write and to read. Here a
list of trees becomes one value: the nodes of all of them one after the other, a column
for each field, in the shortest type that holds its numbers. So do the curves of the
report, whose numbers skops writes as a node each.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, fields, is_dataclass, replace
from math import isnan
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)
from sklearn.tree._tree import NODE_DTYPE, Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    Columns = Mapping[str, NDArray[Any]]

_TREES = {
    *(DecisionTreeClassifier, DecisionTreeRegressor),
    *(ExtraTreeClassifier, ExtraTreeRegressor),
}
_WALKED = {"autoimb", "imblearn", "sklearn"}
"""Packages whose objects may hold trees; what else they hold is left as it is."""
_CHILDREN = {"left_child": "right_child", "left": "right"}
"""By the field of the left child, that of the right one."""
_LONG = 16  # numbers, or rows of them, that are worth an array
_SHORTER = (np.int8, np.int16, np.int32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PackedTrees:
    """A list of decision trees of scikit-learn that have the same parameters."""

    template: Any
    """One of them, without its nodes."""
    random_states: NDArray[np.int64] | None
    """The seed of each; None if they have that of the template."""
    n_features: int
    n_classes: NDArray[np.intp]
    n_outputs: int
    max_depths: NDArray[np.integer[Any]]
    n_nodes: NDArray[np.integer[Any]]
    """Nodes of each tree."""
    nodes: dict[str, NDArray[Any]]
    """By field, the values of all nodes."""
    values: NDArray[np.float64]
    """What the nodes predict (n_nodes, n_outputs, n_classes)."""

    @classmethod
    def of(cls, trees: Sequence[Any]) -> PackedTrees | None:
        """Return trees as one value; None if they differ in more than their nodes."""
        first = vars(trees[0])
        varying = {"tree_", "random_state"}
        for tree in trees:
            state = vars(tree)
            if state.keys() != first.keys() or "tree_" not in state:
                return None
            if not all(_is_same(state[k], first[k]) for k in first.keys() - varying):
                return None
        seeds = [tree.random_state for tree in trees]
        has_seeds = all(isinstance(seed, int | np.integer) for seed in seeds)
        if not has_seeds and any(seed is not seeds[0] for seed in seeds):
            return None
        template, grown = copy(trees[0]), [tree.tree_ for tree in trees]
        del template.tree_
        states = [tree.__getstate__() for tree in grown]
        n_nodes = np.array([len(state["nodes"]) for state in states])
        return cls(
            template=template,
            random_states=np.array(seeds, dtype=np.int64) if has_seeds else None,
            n_features=grown[0].n_features,
            n_classes=grown[0].n_classes,
            n_outputs=grown[0].n_outputs,
            max_depths=_shortest(np.array([tree.max_depth for tree in grown])),
            n_nodes=_shortest(n_nodes),
            nodes=_columns([state["nodes"] for state in states], "left_child"),
            values=np.concatenate([state["values"] for state in states]),
        )

    def unpacked(self) -> list[Any]:
        """Return the trees.

        Raises
        ------
        ValueError
            If the arrays are not those of trees: a child that lies elsewhere in memory
            would end the process in a prediction.
        """
        if type(self.template) not in _TREES:
            raise ValueError(f"{type(self.template).__name__} is no decision tree.")
        nodes = _nodes(self.nodes, self.n_nodes, NODE_DTYPE, "left_child")
        is_leaf = self.nodes["left_child"] == 0
        for name in ("left_child", "right_child"):
            nodes[name][is_leaf] = -1
        features = nodes["feature"][~is_leaf]
        if ((features < 0) | (features >= self.n_features)).any():
            raise ValueError("a tree splits on a feature that there is not.")
        if self.template.n_features_in_ != self.n_features:
            raise ValueError("a tree has another number of features than it says.")
        trees, ends = [], np.cumsum(self.n_nodes.astype(np.intp))
        for i, (n, end) in enumerate(zip(self.n_nodes.tolist(), ends, strict=True)):
            tree = copy(self.template)
            tree.tree_ = Tree(self.n_features, self.n_classes, self.n_outputs)
            tree.tree_.__setstate__(
                {
                    "max_depth": int(self.max_depths[i]),
                    "node_count": n,
                    "nodes": nodes[end - n : end],
                    "values": self.values[end - n : end],
                }
            )
            if self.random_states is not None:
                tree.random_state = int(self.random_states[i])
            trees.append(tree)
        return trees


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PackedPredictors:
    """The trees of histogram boosting: a list of trees for each round."""

    n_in_round: NDArray[np.integer[Any]]
    n_nodes: NDArray[np.integer[Any]]
    """Nodes of each tree."""
    nodes: dict[str, NDArray[Any]]
    """By field, the values of all nodes."""
    n_bitsets: NDArray[np.integer[Any]]
    """Splits of each tree on categories."""
    binned_bitsets: NDArray[np.uint32]
    raw_bitsets: NDArray[np.uint32]

    @classmethod
    def of(cls, rounds: Sequence[Sequence[Any]]) -> PackedPredictors | None:
        """Return the trees as one value; None if their bitsets do not go together."""
        trees = [tree for of_round in rounds for tree in of_round]
        bitsets = [(t.binned_left_cat_bitsets, t.raw_left_cat_bitsets) for t in trees]
        if any(len(binned) != len(raw) for binned, raw in bitsets):
            return None
        return cls(
            n_in_round=_shortest(np.array([len(of_round) for of_round in rounds])),
            n_nodes=_shortest(np.array([len(tree.nodes) for tree in trees])),
            nodes=_columns([tree.nodes for tree in trees], "left"),
            n_bitsets=_shortest(np.array([len(binned) for binned, _ in bitsets])),
            binned_bitsets=np.concatenate([binned for binned, _ in bitsets]),
            raw_bitsets=np.concatenate([raw for _, raw in bitsets]),
        )

    def check_features(self, n_features: int) -> None:
        """Raise `ValueError` if a tree splits on a feature that the model has not."""
        if (self.nodes["feature_idx"].astype(np.int64) >= n_features).any():
            raise ValueError("a tree splits on a feature that there is not.")

    def unpacked(self) -> list[list[Any]]:
        """Return the trees of each round.

        Raises
        ------
        ValueError
            If the arrays are not those of trees.
        """
        nodes = _nodes(self.nodes, self.n_nodes, PREDICTOR_RECORD_DTYPE, "left")
        is_leaf = nodes["is_leaf"].astype(bool)
        if (is_leaf != (self.nodes["left"] == 0)).any():
            raise ValueError("a tree has a leaf with children.")
        for name in ("left", "right"):
            nodes[name][is_leaf] = 0
        of_tree = np.repeat(self.n_bitsets, self.n_nodes)
        is_outside = nodes["is_categorical"] & (nodes["bitset_idx"] >= of_tree)
        if (nodes["feature_idx"] < 0).any() or is_outside.any():
            raise ValueError("a tree splits on a feature that there is not.")
        parts = zip(
            _split(nodes, self.n_nodes),
            _split(self.binned_bitsets, self.n_bitsets),
            _split(self.raw_bitsets, self.n_bitsets),
            strict=True,
        )
        trees = [TreePredictor(*(part.copy() for part in of_tree)) for of_tree in parts]
        ends = np.cumsum(self.n_in_round.astype(np.intp))
        if not len(ends) or ends[-1] != len(trees):
            raise ValueError("its rounds have another number of trees.")
        sizes = self.n_in_round.tolist()
        return [trees[end - n : end] for n, end in zip(sizes, ends, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PackedNumbers:
    """A tuple of numbers, or of tuples of equally many numbers."""

    values: NDArray[np.float64]
    """NaN stands for None."""

    @classmethod
    def of(cls, numbers: tuple[Any, ...]) -> PackedNumbers | None:
        """Return a tuple as one value; None if it holds anything else."""
        is_table = all(type(row) is tuple for row in numbers)
        rows = numbers if is_table else (numbers,)
        if len({len(row) for row in rows}) != 1 or not rows[0]:
            return None
        known = [v for row in rows for v in row if v is not None]
        if any(type(v) is not float or isnan(v) for v in known):
            return None
        return cls(values=np.array(numbers, dtype=np.float64))

    def unpacked(self) -> tuple[Any, ...]:
        """Return the tuple; raise `ValueError` if it is none."""
        if self.values.ndim not in {1, 2} or self.values.dtype != np.float64:
            raise ValueError("the numbers of a curve are no numbers.")
        gaps = self.values.astype(object)
        gaps[np.isnan(self.values)] = None
        if self.values.ndim == 1:
            return tuple(gaps.tolist())
        return tuple(map(tuple, gaps.tolist()))


def _is_same(one: Any, other: Any) -> bool:
    """Whether a part of two trees is the same."""
    if one is other:
        return True
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    return type(one) is type(other) and bool(one == other)


def _shortest(column: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers in the shortest type that holds them; others as they are."""
    if column.dtype.kind not in "iu" or column.itemsize == 1 or not len(column):
        return np.ascontiguousarray(column)
    low, high = int(column.min()), int(column.max())
    for kind in _SHORTER:
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return column.astype(kind)
    return column.astype(np.int64)


def _places(n_nodes: NDArray[Any]) -> NDArray[np.intp]:
    """Return the place of each node in its tree."""
    n_nodes = n_nodes.astype(np.intp)
    starts = np.cumsum(n_nodes) - n_nodes
    return np.asarray(np.arange(n_nodes.sum()) - np.repeat(starts, n_nodes))


def _columns(trees: Sequence[NDArray[Any]], left: str) -> dict[str, NDArray[Any]]:
    """Return the fields of all nodes.

    A child is given by its distance to its parent, which stands before it: 0 is none.
    """
    nodes = np.concatenate(trees)
    places = _places(np.array([len(tree) for tree in trees]))
    columns = {}
    for name in nodes.dtype.names or ():
        column = nodes[name]
        if name in {left, _CHILDREN[left]}:
            away = column.astype(np.int64) - places
            column = np.where(away > 0, away, 0)
        columns[name] = _shortest(column)
    return columns


def _nodes(
    columns: Columns, n_nodes: NDArray[Any], dtype: np.dtype[Any], left: str
) -> NDArray[Any]:
    """Return the nodes of all trees; raise `ValueError` for children elsewhere."""
    places, sizes = _places(n_nodes), np.repeat(n_nodes, n_nodes)
    nodes = np.zeros(len(places), dtype=dtype)
    if set(columns) != set(dtype.names or ()) or (n_nodes < 1).any():
        raise ValueError("a tree has other parts than scikit-learn's have.")
    for name, column in columns.items():
        if column.shape != places.shape or column.dtype.kind not in "iuf":
            raise ValueError(f"the nodes of trees have no proper {name}.")
        nodes[name] = column
    for name in (left, _CHILDREN[left]):
        away = columns[name].astype(np.int64)
        if ((away < 0) | (places + away >= sizes)).any():
            raise ValueError("a tree has a child outside of it.")
        if ((away == 0) != (columns[left] == 0)).any():
            raise ValueError("a tree has a node with one child.")
        nodes[name] = places + away
    return nodes


def _split(values: NDArray[Any], sizes: NDArray[Any]) -> list[NDArray[Any]]:
    """Return consecutive parts of these sizes; raise `ValueError` for other sums."""
    sizes = sizes.astype(np.intp)
    if (sizes < 0).any() or sizes.sum() != len(values):
        raise ValueError("the parts of trees have other sizes.")
    return np.split(values, np.cumsum(sizes)[:-1])


# --- packing what is in an object


def packed(value: Any) -> Any:
    """Return an object with trees and curves in it packed; the object stays as is.

    What holds none is shared with the object.
    """
    return _Walk(_pack)(value)


def unpacked(value: Any) -> Any:
    """Return an object with all that was packed in it as it was."""
    return _Walk(_unpack)(value)


def _pack(value: Any) -> Any:
    """Return a list of trees, or a curve, as one value; anything else as it is."""
    if type(value) is tuple and len(value) >= _LONG:
        return PackedNumbers.of(value) or value
    if type(value) is not list or not value:
        return value
    kind = type(value[0])
    new: PackedTrees | PackedPredictors | None = None
    if kind in _TREES and all(type(tree) is kind for tree in value):
        new = PackedTrees.of(value)
    elif kind is list and all(
        type(of_round) is list
        and of_round
        and all(type(tree) is TreePredictor for tree in of_round)
        for of_round in value
    ):
        new = PackedPredictors.of(value)
    return value if new is None else new


def _unpack(value: Any) -> Any:
    """Return what a packed value stands for; anything else as it is."""
    boosted = getattr(value, "_predictors", None)
    if isinstance(boosted, PackedPredictors):
        boosted.check_features(value.n_features_in_)
    is_packed = type(value) in {PackedTrees, PackedPredictors, PackedNumbers}
    return value.unpacked() if is_packed else value


class _Walk:
    """A walk over the parts of an object, which replaces some of them.

    Parameters
    ----------
    replaced : callable
        Returns what stands in for an object: itself if its parts are to be looked at.
    """

    def __init__(self, replaced: Callable[[Any], Any]) -> None:
        self._replaced = replaced
        self._known: dict[int, tuple[Any, Any]] = {}
        """By id, an object and what stands in for it."""

    def __call__(self, value: Any) -> Any:
        """Return the object, or a copy in which parts are replaced."""
        if id(value) in self._known:
            return self._known[id(value)][1]
        self._known[id(value)] = value, value  # a part may refer to the whole
        new = self._replaced(value)
        if new is value:
            new = self._with_new_parts(value)
        self._known[id(value)] = value, new
        return new

    def _with_new_parts(self, value: Any) -> Any:
        """Return an object with the parts that changed; itself if none did."""
        kind = type(value)
        if kind in {list, tuple}:
            parts = [self(part) for part in value]
            is_new = any(new is not old for new, old in zip(parts, value, strict=True))
            return kind(parts) if is_new else value
        if isinstance(value, dict):
            changed = self._changed(value)
            if changed:
                value = copy(value)
                value.update(changed)
            return value
        if kind.__module__.partition(".")[0] not in _WALKED:
            return value
        return self._with_new_state(value)

    def _with_new_state(self, value: Any) -> Any:
        """Return an object with the attributes that changed; itself if none did."""
        if hasattr(value, "__dict__"):
            changed = self._changed(vars(value))
            if not changed:
                return value
            new = object.__new__(type(value))
            vars(new).update({**vars(value), **changed})
            return new
        if not is_dataclass(value):
            return value
        state = {field.name: getattr(value, field.name) for field in fields(value)}
        changed = self._changed(state)
        return replace(value, **changed) if changed else value  # type: ignore[type-var]

    def _changed(self, parts: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parts that are replaced, by name."""
        every = {name: (part, self(part)) for name, part in parts.items()}
        return {name: new for name, (old, new) in every.items() if new is not old}
