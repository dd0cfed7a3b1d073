"""A file runs no code: not when it is opened, and not through what it holds later."""

import importlib
import inspect
import io
import json
import os
import pickle
import pkgutil
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import autoimb
from autoimb import AutoImbalance
from autoimb._catalogue import CATALOGUE
from autoimb._catalogue.entry import Family
from autoimb._cli import main
from autoimb._persist.saved_model import FORMAT
from autoimb.exceptions import BadInputError

pytestmark = pytest.mark.newest

DATA = make_classification(120, 4, weights=[0.8], random_state=0)
SETTINGS = {"n_trials": 1, "n_jobs": 1, "cv": 2, "random_state": 0}


def fit(**changes):
    chosen = {**SETTINGS, **changes}
    if "estimator" not in chosen:
        chosen = {"families": "logistic_regression", **chosen}
    return AutoImbalance(**chosen).fit(*DATA)


@pytest.fixture(scope="module")
def model():
    return fit()


@pytest.fixture(scope="module")
def members(model, tmp_path_factory):
    """The files in the archive of a good model."""
    path = tmp_path_factory.mktemp("good") / "model.skops"
    model.save(path)
    with ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "rows.csv"
    pd.DataFrame(DATA[0]).to_csv(path, index=False)
    return path


# --- nodes as an attacker writes them

_numbers = iter(range(10**6, 10**9))


def node(loader, module, name, **rest):
    return {
        "__loader__": loader,
        "__module__": module,
        "__class__": name,
        "__id__": next(_numbers),
        **rest,
    }


def plain(value):
    text = json.dumps(value)
    return node("JsonNode", "builtins", "str", content=text, is_json=True)


def several(*items, at=("builtins", "list")):
    return node("ListNode", *at, content=list(items))


def row(*items, at=("builtins", "tuple")):
    return node("TupleNode", *at, content=list(items))


def kind(module="builtins", name="str"):
    return node("TypeNode", module, name)


def mapping(_at=("builtins", "dict"), _key=None, **items):
    keys = several(*(_key or kind() for _ in items))
    return node("DictNode", *_at, content=items, key_types=keys)


def thing(module, name, **state):
    return node("ObjectNode", module, name, content=mapping(**state))


def function(module, name):
    return node("FunctionNode", module, name)


def partial(func, *args, at=("autoimb", "partial")):
    parts = {"func": func, "args": row(*args), "kwds": mapping()}
    return node("PartialNode", *at, content={**parts, "namespace": mapping()})


def method(owner, name):
    at = owner["__module__"], owner["__class__"]
    return node("MethodNode", *at, content={"func": name, "obj": owner})


def reduced(module, name, *args):
    """A node that calls what it names while the file is loaded."""
    return node("ConstructorFromReduceNode", module, name, content=row(*args))


def with_default(factory, **items):
    parts = {"main": mapping(**items), "default_factory": factory}
    return node("DefaultDictNode", "collections", "defaultdict", content=parts)


RUN = ("autoimb._execution.executors", "_run_within")
RESOLVE = ("autoimb._catalogue.entry", "resolve")
PAYLOAD = "payload.bin"


class Marker:
    """Unpickled, it makes a folder: the sign that code ran."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "code-ran"


def payload():
    return node("BytesNode", "builtins", "bytes", file=PAYLOAD)


def mapped(path, size):
    sizes = row(plain(size))
    state = several(plain(str(path)), sizes)  # the class has slots
    return node("ObjectNode", "autoimb._execution.shared_data", "Mapped", content=state)


def parts_of(root):
    return root["content"]["model"]["content"]["content"]


def as_factory(make):
    """A bundle whose model is whatever the factory of a defaultdict returns."""

    def edit(root, seen):
        factory = make(seen)
        return with_default(factory, format=root["content"]["format"])

    return edit


def as_part(make):
    """A good model with one more attribute."""

    def edit(root, seen):
        parts = parts_of(root)
        state = root["content"]["model"]["content"]
        parts["extra"] = make(seen)
        state["key_types"]["content"].append(kind())
        return root

    return edit


def in_place(change):
    def edit(root, seen):
        change(root)
        return root

    return edit


def set_part(name, value):
    return in_place(lambda root: parts_of(root).update({name: value}))


def bundle(**changes):
    """A bundle with other parts, or more of them."""

    def edit(root, seen):
        return mapping(**{**root["content"], **changes})

    return edit


def shared_numbers(root):
    """Give one number to two texts: the first is taken for both."""
    first, second = plain("harmless"), plain("something else")
    second["__id__"] = first["__id__"]
    root["content"]["model"]["content"]["content"]["extra"] = several(first, second)
    root["content"]["model"]["content"]["key_types"]["content"].append(kind())


def array_call(seen):
    """NumPy's loader calls what the node names with the array."""
    return node("NdArrayNode", *RUN, type="numpy", file="payload.npy")


def loss_call(seen):
    args = {"args": row(payload())}
    return node("LossNode", *RUN, content=mapping(), __reduce__=args)


def other_file(seen):
    return mapped(seen / "payload.pickle", len(seen.joinpath(PAYLOAD).read_bytes()))


def key_call(seen):
    return mapping(_key=kind(*RESOLVE), **{"json:loads": plain(1)})


ATTACKS = {
    # The two of the report: a partial behind a defaultdict, a method of `Mapped`.
    "run-payload": as_factory(lambda _: partial(function(*RUN), payload())),
    "mapped-get": as_factory(lambda s: method(other_file(s), "get")),
    # Others of our functions and methods behind a defaultdict.
    "mapped-load": as_factory(lambda s: method(other_file(s), "_load")),
    "partial-of-method": as_factory(lambda s: partial(method(other_file(s), "get"))),
    "partial-in-partial": as_factory(
        lambda _: partial(partial(function(*RUN)), payload())
    ),
    "partial-named-estimator": as_factory(
        lambda _: partial(
            function(*RUN), payload(), at=("sklearn.pipeline", "Pipeline")
        )
    ),
    "type-node-of-function": as_factory(lambda _: partial(kind(*RUN), payload())),
    "imported-function": as_factory(
        lambda _: partial(
            function("autoimb._export.names", "import_module"), plain("json")
        )
    ),
    "executor-submit": as_factory(
        lambda _: partial(
            method(
                thing("autoimb._execution.executors", "SequentialExecutor"), "submit"
            ),
            *(function(*RUN), payload()),
        )
    ),
    "submit-within": as_factory(
        lambda _: partial(
            function("autoimb._execution.executors", "submit_within"),
            thing("autoimb._execution.executors", "SequentialExecutor"),
            *(plain(None), function(*RUN), payload()),
        )
    ),
    "command-line": as_factory(
        lambda _: partial(function("autoimb._cli", "main"), several(plain("--version")))
    ),
    "harmless-defaultdict": as_factory(lambda _: kind("builtins", "dict")),
    # Nodes that call something while the file is loaded.
    "reduce": as_part(lambda _: reduced(*RUN, payload())),
    "reduce-as-model": bundle(model=reduced(*RUN, payload())),
    "reduce-resolve": as_part(lambda _: reduced(*RESOLVE, plain("os:system"))),
    "methodcaller": as_part(
        lambda _: reduced(*RESOLVE, plain("operator:methodcaller"))
    ),
    "method-type": as_part(lambda _: reduced(*RESOLVE, plain("types:MethodType"))),
    "array-of-function": as_part(array_call),
    "loss-of-function": as_part(loss_call),
    "key-type": as_part(key_call),
    "list-of-class": as_part(
        lambda _: several(plain(1), at=("autoimb._execution.shared_data", "Inline"))
    ),
    "list-of-function": as_part(
        lambda _: several(plain(1), at=("autoimb._catalogue.user_objects", "is_ready"))
    ),
    "dict-of-class": as_part(lambda _: mapping(_at=("autoimb", "AutoImbalance"))),
    "dict-of-function": as_part(
        lambda _: mapping(_at=("autoimb._execution.resources", "free_memory"))
    ),
    "set-of-class": as_part(
        lambda _: node(
            "SetNode", "autoimb._execution.shared_data", "Inline", content=[]
        )
    ),
    # Things that nothing calls yet.
    "function": as_part(lambda _: function(*RUN)),
    "type-of-function": as_part(lambda _: kind(*RUN)),
    "method": as_part(lambda s: method(other_file(s), "get")),
    "mapped": as_part(other_file),
    "partial": as_part(lambda _: partial(function("numpy", "absolute"))),
    "defaultdict": as_part(lambda _: with_default(kind("builtins", "dict"))),
    "tuple-of-class": as_part(
        lambda _: row(at=("autoimb._execution.shared_data", "Mapped"))
    ),
    "map-type": as_part(lambda _: kind("builtins", "map")),
    "sequential-executor": set_part(
        "executor", thing("autoimb._execution.executors", "SequentialExecutor")
    ),
    # Bundles that are not what was written.
    "ordered-dict": lambda root, _: {
        **root,
        "__module__": "collections",
        "__class__": "OrderedDict",
    },
    "more-parts": bundle(extra=plain(1)),
    "format-is-bool": bundle(format=plain(True)),
    "format-is-float": bundle(format=plain(0.5)),
    "another-model": bundle(model=thing("autoimb._fit.fitted_model", "FittedModel")),
    "not-fitted": bundle(model=thing("autoimb", "AutoImbalance")),
    "two-of-one-number": in_place(shared_numbers),
    "number-is-no-int": in_place(lambda root: root.update(__id__="1")),
    "old-protocol": in_place(lambda root: root.update(protocol=1)),
    "random-state-of-function": as_part(
        lambda _: node(
            *("RandomStateNode", "autoimb._execution.resources", "free_memory"),
            content=mapping(),
        )
    ),
    # skops itself refuses or flags these; they stay refused.
    "operator-node": as_part(
        lambda _: node(
            *("OperatorFuncNode", "operator", "methodcaller"), attrs=row(plain("x"))
        )
    ),
    "plain-partial": as_factory(
        lambda _: partial(function(*RUN), payload(), at=("functools", "partial"))
    ),
    "counter": as_part(lambda _: mapping(_at=("collections", "Counter"))),
    "dict-node-of-defaultdict": as_part(
        lambda _: mapping(_at=("collections", "defaultdict"))
    ),
    "deque": as_part(lambda _: several(at=("collections", "deque"))),
    "os-system": as_part(lambda _: function("os", "system")),
    "eval": as_part(lambda _: kind("builtins", "eval")),
    "reduce-of-eval": as_part(lambda _: reduced("builtins", "eval", plain("1"))),
    "cached-node": as_part(lambda _: node("CachedNode", "builtins", "str")),
    "dotted-class": as_part(
        lambda _: function("autoimb", "_execution.executors._run_payload")
    ),
}


def write(path, root, members, seen, **how):
    """Write an archive with another schema, and with the attacker's payload."""
    files = {**members, PAYLOAD: seen.joinpath(PAYLOAD).read_bytes()}
    raw = io.BytesIO()
    np.save(raw, np.frombuffer(files[PAYLOAD], np.uint8))
    files |= {"payload.npy": raw.getvalue(), "schema.json": json.dumps(root).encode()}
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


@pytest.fixture
def seen(tmp_path, marker):
    """A folder with the payload as a file of its own."""
    content = pickle.dumps((len, ([Marker(marker)],), {}))
    for name in (PAYLOAD, "payload.pickle"):
        (tmp_path / name).write_bytes(content)
    return tmp_path


def assert_refused(path, table, marker, capsys):
    with pytest.raises(BadInputError) as caught:
        autoimb.load(path)
    assert "\n" not in str(caught.value)
    capsys.readouterr()
    assert main(["predict", str(path), str(table)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert str(path) in printed.err
    assert not marker.exists()


@pytest.mark.parametrize("name", ATTACKS)
def test_a_file_that_names_code_is_refused(name, members, table, seen, marker, capsys):
    schema = json.loads(members["schema.json"])
    root = ATTACKS[name](schema, seen)
    whole = {"protocol": schema["protocol"], "_skops_version": "0", **root}
    path = seen / "bad.skops"
    write(path, whole, members, seen)
    assert_refused(path, table, marker, capsys)


def test_the_forged_archive_is_fine_without_an_attack(members, seen):
    path = seen / "good.skops"
    write(path, json.loads(members["schema.json"]), members, seen)
    assert autoimb.load(path).predict(DATA[0]).shape == (120,)


def test_pickle_bytes_in_front_of_the_zip_are_refused(
    members, table, seen, marker, capsys
):
    schema = json.loads(members["schema.json"])
    path, front = seen / "bad.skops", (seen / PAYLOAD).read_bytes()
    itself = method(mapped(path, len(front)), "get")
    root = with_default(itself, format=schema["content"]["format"])
    write(path, {"protocol": schema["protocol"], **root}, members, seen)
    path.write_bytes(front + path.read_bytes())
    assert_refused(path, table, marker, capsys)


def in_front(good):
    return b"PK\x03\x04 bytes in front" + good


def behind(good):
    return good + b"bytes behind"


def with_comment(good):
    return appended(good, lambda archive: setattr(archive, "comment", b"hello"))


def with_strange_member(good):
    return appended(good, lambda archive: archive.writestr("../evil.py", b"x"))


def with_two_schemas(good):
    def change(archive):
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("schema.json", archive.read("schema.json"))

    return appended(good, change)


def with_a_key_twice(good):
    with ZipFile(io.BytesIO(good)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files["schema.json"] = files["schema.json"].replace(
        b'"__class__": "dict"', b'"__class__": "list", "__class__": "dict"', 1
    )
    raw = io.BytesIO()
    with ZipFile(raw, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return raw.getvalue()


def appended(good, change):
    raw = io.BytesIO(good)
    with ZipFile(raw, "a") as archive:
        change(archive)
    return raw.getvalue()


ARCHIVES = [
    *(in_front, behind, with_comment, with_strange_member),
    *(with_two_schemas, with_a_key_twice),
]


@pytest.mark.parametrize("change", ARCHIVES, ids=lambda change: change.__name__)
def test_an_archive_that_was_changed_is_refused(
    change, model, table, tmp_path, marker, capsys
):
    path = tmp_path / "bad.skops"
    model.save(path)
    path.write_bytes(change(path.read_bytes()))
    assert_refused(path, table, marker, capsys)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(18)])
def test_broken_archives_are_refused(content, table, tmp_path, marker, capsys):
    path = tmp_path / "bad.skops"
    path.write_bytes(content)
    assert_refused(path, table, marker, capsys)


def test_nesting_that_is_too_deep_is_refused(members, table, seen, marker, capsys):
    schema = json.loads(members["schema.json"])
    schema["content"]["format"] = plain(FORMAT)
    for _ in range(300):
        schema["content"]["format"] = several(schema["content"]["format"])
    path = seen / "bad.skops"
    write(path, schema, members, seen)
    assert_refused(path, table, marker, capsys)


# --- code that a model names in its data


def write_as_is(model, path, **changes):
    """Save what `save` would leave out."""
    state = {**vars(model), "study_": None, **changes}
    state.pop("_skl_callbacks", None)
    written = skops.io.dumps({"format": FORMAT, "model": state})
    with ZipFile(io.BytesIO(written)) as made:
        files = {name: made.read(name) for name in made.namelist()}
    schema = json.loads(files["schema.json"])
    parts = schema["content"]
    at = "autoimb", "AutoImbalance"
    parts["model"] = node("ObjectNode", *at, content=parts["model"])
    files["schema.json"] = json.dumps(schema).encode()
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def family(marker, **fields):
    """An entry that runs a command in place of fitting."""
    return Family(
        name="logistic_regression",
        label="x",
        make="os:system",
        fixed={"command": f"mkdir {marker}"},
        parameter_names={},
        **fields,
    )


def test_a_catalogue_that_names_code_is_refused(model, table, tmp_path, marker, capsys):
    """It would run in `refit`."""
    path = tmp_path / "bad.skops"
    families = {
        **CATALOGUE.entries["family"],
        "logistic_regression": family(marker),
    }
    evil = type(CATALOGUE)({**CATALOGUE.entries, "family": families})
    write_as_is(model, path, _catalogue=evil)
    assert_refused(path, table, marker, capsys)


@pytest.mark.parametrize(
    "fields", [{}, {"time_limited_fit": "os:mkdir"}, {"staged_proba": "os:mkdir"}]
)
def test_a_family_that_names_code_is_refused(
    fields, model, table, tmp_path, marker, capsys
):
    path = tmp_path / "bad.skops"
    families = [family(marker, **fields)]
    write_as_is(model, path, families=families, _catalogue=None)
    assert_refused(path, table, marker, capsys)


def test_a_file_opens_no_database(model, tmp_path):
    database = f"sqlite:///{tmp_path / 'made.db'}"
    write_as_is(model, tmp_path / "bad.skops", storage=database, _catalogue=None)
    opened = autoimb.load(tmp_path / "bad.skops")
    assert opened.storage is None
    opened.refit(*DATA)
    assert not (tmp_path / "made.db").exists()


def test_no_folder_of_pickled_fits_comes_from_a_file(table, tmp_path, marker, capsys):
    cached = make_pipeline(
        StandardScaler(), LogisticRegression(), memory=str(tmp_path / "cache")
    )
    own = fit(estimator=cached)
    own.save(tmp_path / "own.skops")
    opened = autoimb.load(tmp_path / "own.skops")
    assert opened.estimator.memory is None
    assert own.estimator.memory == str(tmp_path / "cache")
    write_as_is(own, tmp_path / "bad.skops", _catalogue=None)
    assert_refused(tmp_path / "bad.skops", table, marker, capsys)


def test_parameters_that_no_search_proposes_are_refused_by_refit(model, tmp_path):
    from dataclasses import replace

    from autoimb._strategy.strategy import Choice

    model.save(tmp_path / "model.skops")
    evil = autoimb.load(tmp_path / "model.skops")
    member = evil.ensemble_[0]
    choice = Choice.of("logistic_regression", {"verbose": 1})
    strategy = replace(member.strategy, family=choice)
    evil.ensemble_ = (replace(member, strategy=strategy),)
    with pytest.raises(BadInputError, match=r"no parameters \['verbose'\]"):
        evil.refit(*DATA)


def test_no_text_of_a_file_becomes_code():
    from xgboost import XGBClassifier

    from autoimb._export.script_names import ScriptNames
    from autoimb._export.value_code import code_of

    evil = XGBClassifier(**{"x=print('code'), y": 1})
    with pytest.raises(BadInputError, match="cannot be written as code"):
        code_of(evil, ScriptNames())


# --- the list of what a file may hold


def modules():
    yield autoimb
    for found in pkgutil.walk_packages(autoimb.__path__, "autoimb."):
        if found.name != "autoimb.__main__":
            yield importlib.import_module(found.name)


def reachable():
    """Yield module and name of each callable in autoimb, methods of classes too."""
    for module in modules():
        for name, value in vars(module).items():
            if callable(value) and name.isidentifier():
                yield module.__name__, name
            if inspect.isclass(value):
                for inner, held in vars(value).items():
                    if callable(held) or isinstance(held, classmethod | staticmethod):
                        yield f"{module.__name__}.{name}", inner


def sample(loader, module, name):
    """Return a node that is fine but for what it names."""
    array = node("NdArrayNode", "numpy", "ndarray", type="numpy", file="a.npy")
    rest = {
        "BytearrayNode": {"file": "a.bin"},
        "BytesNode": {"file": "a.bin"},
        "ConstructorFromReduceNode": {"content": row()},
        "DTypeNode": {"content": array},
        "DictNode": {"content": {}, "key_types": several()},
        "JsonNode": {"content": "1"},
        "LossNode": {"content": mapping(), "__reduce__": {"args": row()}},
        "MaskedArrayNode": {"content": {"data": array, "mask": array}},
        "NdArrayNode": {"type": "numpy", "file": "a.npy"},
        "ObjectNode": {"content": mapping()},
        "RandomGeneratorNode": {
            "content": {
                "bit_generator": mapping(bit_generator=plain("PCG64")),
                "seed_seq": mapping(),
            }
        },
        "RandomStateNode": {"content": mapping()},
        "SliceNode": {"content": {"start": None, "stop": 1, "step": None}},
        "SparseMatrixNode": {"file": "a.npz"},
        "TreeNode": {"content": mapping(), "__reduce__": {"args": row()}},
    }
    return node(loader, module, name, **rest.get(loader, {"content": []}))


def audited(one, trusted=()):
    from autoimb._persist.audit import Audit

    audit = Audit(frozenset(trusted), frozenset({"a.npy", "a.npz", "a.bin"}))
    audit.visit(one)
    audit.finish()
    return audit


def test_no_callable_of_autoimb_can_be_named_but_the_listed_classes():
    from autoimb._persist.allowed_classes import OWN_CLASSES
    from autoimb._persist.audit import _KINDS, Audit

    names = set(reachable())
    assert len(names) > 2000
    assert ("autoimb._execution.executors", "_run_within") in names
    assert ("autoimb._execution.shared_data.Mapped", "get") in names
    full = {f"{module}.{name}" for module, name in names}
    for loader in _KINDS:
        one = sample(loader, "", "")
        audit = Audit(frozenset(full), frozenset({"a.npy", "a.npz", "a.bin"}))
        for module, name in names:
            named = {"__module__": module, "__class__": name}
            audit.visit({**one, **named, "__id__": next(_numbers)})
        listed = OWN_CLASSES if loader == "ObjectNode" else set()
        assert audit.named & full == listed
        assert audit.forbidden >= full - listed


def test_only_the_loaders_that_models_need_are_read():
    from skops.io._audit import NODE_TYPE_MAPPING

    from autoimb._persist.audit import _KINDS

    loaders = {loader for loader, _ in NODE_TYPE_MAPPING}
    assert loaders >= set(_KINDS)
    assert loaders - set(_KINDS) == {
        *("CachedNode", "DefaultDictNode", "MethodNode", "OperatorFuncNode"),
        *("PartialNode", "QuantileForestNode"),
    }


@pytest.mark.parametrize("module", ["os", "builtins", "functools", "autoimb._cli"])
def test_the_standard_library_and_autoimb_cannot_be_trusted(module):
    full = f"{module}.anything"
    for loader in ("FunctionNode", "TypeNode", "ObjectNode"):
        assert audited(sample(loader, module, "anything"), [full]).forbidden == {full}


def test_ufuncs_are_the_only_functions_that_need_no_trust():
    for module, name in [("numpy", "log1p"), ("scipy.special._ufuncs", "expit")]:
        found = audited(sample("FunctionNode", module, name))
        assert found.named == {f"{module}.{name}"}
    for module, name in [("numpy", "save"), ("sklearn.metrics", "f1_score")]:
        found = audited(sample("FunctionNode", module, name))
        assert found.strange == {f"{module}.{name}"}


def test_listed_classes_exist_and_run_nothing_when_they_are_loaded():
    from autoimb._metrics.calibration import Calibration
    from autoimb._persist.allowed_classes import OWN_CLASSES
    from autoimb._threshold.prior_shift import PriorShift

    for full in OWN_CLASSES:
        module, _, name = full.rpartition(".")
        listed = getattr(importlib.import_module(module), name)
        assert inspect.isclass(listed), full
        assert (listed.__module__, listed.__qualname__) == (module, name)
        own = [c for c in listed.__mro__ if c.__module__.split(".")[0] == "autoimb"]
        hooks = {"__reduce__", "__reduce_ex__", "__del__", "__getattr__"}
        if not issubclass(listed, Calibration | PriorShift):  # arithmetic on scores
            hooks.add("__call__")
        for part in own:
            assert not hooks & vars(part).keys(), full
            restore = vars(part).get("__setstate__")
            assert restore is None or restore.__module__ == "dataclasses", full
            assert "__new__" not in vars(part), full


def test_listed_classes_of_other_packages_exist():
    from autoimb._persist.allowed_classes import FOREIGN_CLASSES

    for full in FOREIGN_CLASSES:
        module, _, name = full.rpartition(".")
        if module.partition(".")[0] in {"catboost", "lightgbm"}:
            pytest.importorskip(module.partition(".")[0])
        assert inspect.isclass(getattr(importlib.import_module(module), name)), full
