"""Hostile documents: known attacks, and mutations of honest ones.

Nothing here knows more of the format than its tags and that references are texts:
what a text may name is replaced by what is importable, and every node by nodes that
would act if they could.
"""

import copy
import inspect
import random
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

Document = dict[str, Any]
Place = tuple[Any, Any]
"""A container and the key or index in it."""

PICKLE = "Y29zCnN5c3RlbQooUyd0cnVlJwp0Ui4="  # os.system('true')
CANARY = "__import__('os').system('zcanary')"
BAIT = "tests.persistence.bait"
IMAGE = "dspy.adapters.types.image:Image"

DANGEROUS = (
    *("os:system", "os:execv", "posix:system", "subprocess:Popen", "subprocess:run"),
    *("builtins:eval", "builtins:exec", "builtins:compile", "builtins:__import__"),
    *("builtins:open", "builtins:getattr", "builtins:breakpoint", "os:remove"),
    *("pickle:loads", "dill:loads", "cloudpickle:loads", "marshal:loads"),
    *("shutil:rmtree", "importlib:import_module", "runpy:run_path", "pathlib:Path"),
    *("code:interact", "ctypes:CDLL", "socket:create_connection", "timeit:timeit"),
    *("urllib.request:urlopen", "webbrowser:open", "tempfile:mkdtemp", "this:x"),
    *("functools:partial", "operator:attrgetter", "operator:methodcaller"),
    *(
        "po_optimizer.persistence.snapshot:loads",
        "po_optimizer.roles:import_object",
    ),
    *("po_optimizer.persistence.store:save_program", "po_optimizer.cli:main"),
    *(
        "po_optimizer.persistence.store:load_program",
        "po_optimizer.roles:make_program",
    ),
    *("po_optimizer.datasets.dspy_program_dataset:DSPyProgramDataset",),
    *("dspy.utils.saving:load", "dspy.clients.lm:LM", "dspy.clients.base_lm:BaseLM"),
    *("dspy.primitives.python_interpreter:PythonInterpreter",),
    *(
        "dspy.primitives.local_interpreter:LocalInterpreter",
        "dspy.retrievers:Embeddings",
    ),
    *("dspy.datasets.alfworld.alfworld:AlfWorld", "dspy.utils:download"),
    *("pydantic.types:ImportString", "pydantic.deprecated.parse:load_file"),
    *("pydantic.main:create_model", "pydantic.root_model:RootModel"),
    *("pydantic.types:FilePath", "pydantic.type_adapter:TypeAdapter"),
    *(f"{BAIT}:{name}" for name in ("pull", "pull_one", "Plain", "Plain.make")),
    *(f"{BAIT}:{name}" for name in ("Plain.static", "Program", "Program.dangerous")),
    *(f"{BAIT}:{name}" for name in ("Model", "Kind", "Record", "Pair", "Language")),
    *(
        f"{BAIT}:{name}"
        for name in ("decorated", "PULLED", "dspy.Module", "__loader__")
    ),
)
NAMES = (
    *("__call__", "__reduce__", "__post_init__", "_missing_", "__class__", "__dict__"),
    *("__init_subclass__", "__getattr__", "__eq__", "__hash__", "__iter__", "__len__"),
    *("_private", "model_config", "model_post_init", "__set_name__", "__slots__"),
    *(
        "__get_pydantic_core_schema__",
        "__class_getitem__",
        "__new__",
        "__annotations__",
    ),
    *("__pydantic_validator__", "format", "description", "forward", "_ignore_", "mro"),
    *("_value_", "__module__", "model_dump", "demos", "__stored_form__", "$", ""),
    *("a b", CANARY, f"x: int = {CANARY}", "x\n__import__('os')", "lambda", "é"),
)
TYPE_KINDS = (
    *("model", "enum", "dataclass", "namedtuple", "typeddict", "newtype", "generic"),
    *("code", "module", "function", "signature", "alias", "root", "class"),
)
VALIDATORS = (
    *("AfterValidator", "BeforeValidator", "PlainValidator", "WrapValidator"),
    *("PlainSerializer", "WrapSerializer"),
)
_REFERENCE = re.compile(r"^[\w.]+:[\w.<>]+$")
_REFERRING = frozenset(
    {"class", "path", "what", "kind", "type", "$", "factory", "name", "func", "base"}
    | {"mixin", "origin", "of", "where", "id", "model", "bases", "args", "v", "tag"}
)


def importable() -> list[str]:
    """Paths of every function and class of the modules that matter, in order."""
    packages = ("dspy", "pydantic", "pydantic_core", "po_optimizer", "os", "subprocess")
    packages += ("shutil", "pickle", "dill", "importlib", "functools", "operator")
    paths = set()
    for name, module in sorted(sys.modules.items()):
        if name.split(".")[0] not in packages:
            continue
        for attribute, value in list(vars(module).items()):
            if inspect.isroutine(value) or isinstance(value, type):
                paths.add(f"{name}:{attribute}")
    return sorted(paths)


def places(node: Any) -> Iterator[Place]:
    """Every place of a document, in depth-first order."""
    if isinstance(node, dict | list):
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            yield node, key
            yield from places(node[key])


def references(document: Document) -> list[Place]:
    """The places whose text names something."""
    return [
        (holder, key)
        for holder, key in places([document["program"], document["types"]])
        if isinstance(holder[key], str)
        and (key in _REFERRING or _REFERENCE.match(holder[key]))
    ]


def missing(path: str, kind: str = "function") -> Document:
    """A node that names code."""
    return {"$": "missing", "where": "self.x", "kind": kind, "what": path}


def hostile_type(dice: random.Random, path: str) -> Document:
    """A class for the table of types, of any kind, with hostile members."""
    name = dice.choice([*NAMES, "X", "Y"])
    field = hostile_field(dice, path)
    return {
        "kind": dice.choice(TYPE_KINDS),
        "path": dice.choice([path, "nowhere:X", ""]),
        "name": dice.choice(["X", name]),
        "doc": dice.choice([None, CANARY]),
        "base": dice.choice(["Enum", "IntFlag", "int", path, {"of": path, "args": []}]),
        "members": [[dice.choice(["A", name]), hostile_value(dice, path)]],
        "mixin": dice.choice(["bytes", "int", "str", path]),
        "fields": [field, {"name": "y", "type": "int"}][: dice.randint(1, 2)],
        "defaults": [[name, hostile_value(dice, path)]],
        "total": True,
        "frozen": dice.choice([True, False]),
        "language": CANARY,
        "args": ["int"],
        "origin": dice.choice(["X", path]),
        **dice.choice([{}, {"root": True}, {"description": CANARY}]),
        **dice.choice([{}, {"stored_form": True}, {"parameters": [name]}]),
        **dice.choice([{}, {"config": hostile_config(dice, path)}]),
    }


def hostile_config(dice: random.Random, path: str) -> Document:
    """A model's configuration that would run code."""
    keys = ("alias_generator", "model_title_generator", "json_schema_extra")
    return {
        dice.choice([*keys, "json_encoders", "plugin_settings", "schema_generator"]): (
            dice.choice([missing(path), path, _class("X"), _class("Z")])
        ),
        "validate_default": True,
        "arbitrary_types_allowed": True,
        "use_attribute_docstrings": True,
    }


def hostile_field(dice: random.Random, path: str) -> Document:
    """A field with validators, factories and a strange name."""
    field: Document = {
        "name": dice.choice(["x", "x", dice.choice(NAMES)]),
        "type": dice.choice(["str", "int", "bytes", {"type": "X"}, CANARY, path]),
        "default": hostile_value(dice, path),
        "validate_default": True,
    }
    if dice.random() < 0.7:
        kind = dice.choice(VALIDATORS)
        func = dice.choice([missing(path), _class("X"), _class("Z")])
        field["metadata"] = [{"$": "validator", "kind": kind, "func": func}]
    if dice.random() < 0.3:
        field.pop("default")
        field["factory"] = dice.choice([missing(path), path, {"type": "X"}])
    return field


def hostile_value(dice: random.Random, path: str) -> Any:
    """A node that would act, would it be what it looks like."""
    state = {dice.choice(NAMES): missing(path), "answer": path}
    return dice.choice(
        [
            missing(path),
            missing(path, dice.choice(["lm", "object", "secret", "factory", "class"])),
            {"$": "bytes", "v": PICKLE},
            {"$": "type", "v": {"type": "X"}},
            {"$": "class", "id": "X"},
            {"$": "model", "type": "X", "v": state, "private": state, "extra": state},
            {"$": "dataclass", "type": "X", "v": state},
            {"$": "namedtuple", "type": "X", "items": [missing(path)]},
            {"$": "enum", "type": "X", "v": {"$": "bytes", "v": PICKLE}},
            {"$": "enum", "type": "X", "name": dice.choice(NAMES)},
            {"$": "module", "id": 990, "class": path, "state": state}
            | dice.choice([{}, {"predictor": True}])
            | {dice.choice(["args", "arguments", "kwargs"]): {"path": CANARY}},
            {"$": "lm", "class": path, "model": "openai/x", "kwargs": {"engine": path}},
            {"$": "lm", "class": path, "v": {"model": CANARY, "engine": path}},
            {"$": "defaultdict", "factory": missing(path), "items": []},
            {"$": "parallel", "v": {"num_threads": missing(path)}},
            {"$": "field", "v": hostile_field_of(path)},
            {"$": "validator", "kind": dice.choice(VALIDATORS), "func": missing(path)},
            {"$": "zone", "v": "../../../etc/passwd"},
            {"$": "example", "v": state, "inputs": [path]},
            {"$": "type", "v": {"of": path, "args": [CANARY]}},
            {"$": "type", "v": {"literal": [CANARY, {"$": "type", "v": CANARY}]}},
            {"$": "type", "v": {"annotated": "str", "metadata": [missing(path)]}},
            {"$": dice.choice([path, "function", "call", "reduce"]), "v": [path]},
            {"$": "tool", "func": missing(path), "name": "x", "v": state},
            CANARY,
        ]
    )


def hostile_field_of(path: str) -> Document:
    """A field that makes its default by a call."""
    return {"name": "x", "type": "int", "factory": missing(path)}


def bombs() -> dict[str, Callable[[Document], Any]]:
    """What small documents could do to memory and time, as changes of a document."""

    def value(node: Any) -> Callable[[Document], Any]:
        return lambda document: document["program"]["state"].update(bomb=node)

    def table(types: Document) -> Callable[[Document], Any]:
        def put(document: Document) -> None:
            document["types"].update(types)
            node = [{"$": "type", "v": {"type": name}} for name in types]
            document["program"]["state"]["bomb"] = node

        return put

    def model(fields: list[Any], **more: Any) -> Document:
        more = {"kind": "model", "path": "nowhere:B", "doc": None, **more}
        return {"name": "B", "fields": fields, "config": {}, **more}

    def enum(members: list[Any], mixin: str) -> Document:
        more = {"doc": "d", "base": "Enum", "members": members, "mixin": mixin}
        return {"kind": "enum", "path": "nowhere:E", "name": "E", **more}

    deep: Any = 1
    generic: Any = "int"
    for _ in range(100):
        deep, generic = [[deep]], {"of": "list", "args": [generic]}
    chain = {
        f"C{i}": model([{"name": "x", "type": {"type": f"C{i + 1}"}}])
        for i in range(800)
    }
    members = [[f"A{i}", i] for i in range(20_000)]
    numbers = list(range(400_000))
    literal = [f"t{i}" for i in range(20_000)]
    return {
        "enum over bytes": table({"E": enum([["A", 3_000_000_000]], "bytes")}),
        "enum of thousands": table({"E": enum(members, "int")}),
        "union of thousands": value(
            {"$": "type", "v": {"or": [{"literal": [i]} for i in range(3000)]}}
        ),
        "union of thousands of classes": value(
            {
                "$": "type",
                "v": {"or": [{"of": "list", "args": ["int"] * 1}] * 3000 + ["str"]},
            }
        ),
        "literal of thousands": value({"$": "type", "v": {"literal": literal}}),
        "long list": value(numbers),
        "long list of lists": value([[1]] * 60_000),
        "long tuple": value({"$": "tuple", "items": numbers}),
        "long set": value({"$": "set", "items": numbers}),
        "deep list": value(deep),
        "deep generic": value({"$": "type", "v": generic}),
        "huge int": value({"$": "int", "v": "0x" + "f" * 3_000_000}),
        "huge decimal": value({"$": "decimal", "v": "1e999999999"}),
        "huge fraction": value({"$": "fraction", "v": "1/" + "9" * 300_000}),
        "huge range": value({"$": "range", "items": [0, 10**18, 1]}),
        "huge array": value(
            {"$": "numpy", "dtype": "<f8", "v": "AAAAAAAAAAA=", "shape": [10**9]}
        ),
        "huge array of nothing": value(
            {"$": "numpy", "dtype": "S0", "v": "", "shape": [10**12]}
        ),
        "huge scalar": value({"$": "numpy", "dtype": "<U700000000", "v": ""}),
        "huge dtype": value({"$": "numpy", "dtype": "V2000000000", "v": ""}),
        "structured dtype": value({"$": "numpy", "dtype": "i4," * 50_000, "v": ""}),
        "counter of words": value({"$": "counter", "items": [["a", "b" * 999_999]]}),
        "chain of models": table(chain),
        "model of thousands": table(
            {"B": model([{"name": f"f{i}", "type": "int"} for i in range(5000)])}
        ),
        "model of itself": table(
            {"B": model([{"name": "x", "type": {"or": [{"type": "B"}] * 50}}])}
        ),
        "generic of itself": table(
            {"G": {"kind": "generic", "path": "", "origin": "G", "args": ["int"]}}
        ),
        "new type of itself": table(
            {
                "N": {
                    "kind": "newtype",
                    "path": "n:N",
                    "name": "N",
                    "base": {"type": "N"},
                }
            }
        ),
        "slow pattern": table(
            {
                "B": model(
                    [
                        {
                            "name": "x",
                            "type": "str",
                            "default": "a" * 40 + "!",
                            "metadata": [
                                {"$": "constraint", "v": {"pattern": "^(?=(a+)+$)a"}}
                            ],
                        }
                    ],
                    config={"validate_default": True, "regex_engine": "python-re"},
                )
            }
        ),
        "slow zone": value([{"$": "zone", "v": "a/" * 100_000}]),
        "shared many times": value([{"$": "ref", "id": 0}] * 60_000),
    }


def _class(name: str) -> Document:
    return {"$": "type", "v": {"type": name}}


def attacks() -> dict[str, Callable[[Document], Any]]:
    """Ways by which documents once ran code, as changes of a document."""

    def typed(types: Document, node: Any = None) -> Callable[[Document], Any]:
        def put(document: Document) -> None:
            document["types"].update(types)
            if node is not None:
                document["program"]["state"]["demos"] = [
                    {"$": "example", "v": {"question": node, "answer": "a"}}
                ]
                document["n_demos"] = 1

        return put

    def model(*fields: Document, **more: Any) -> Document:
        return {
            **{"kind": "model", "path": "nowhere:X", "name": "X", "doc": None},
            **{"fields": list(fields), **more},
        }

    def field(default: Any, validator: str, func: Any, kind: str = "bytes") -> Document:
        metadata = [{"$": "validator", "kind": validator, "func": func}]
        return {"name": "x", "type": kind, "default": default, "metadata": metadata}

    ours = missing("po_optimizer.persistence.snapshot:loads")
    pickled = {"$": "bytes", "v": PICKLE}
    shown = {"$": "model", "type": "X", "v": {"x": pickled}}
    checked = {"validate_default": True}
    image = {"kind": "model", "path": IMAGE}
    class_call = {"$": "type", "v": {"type": "Y"}}
    hook = {
        "name": "__call__",
        "type": "typing.Any",
        "default": {"$": "type", "v": None},
    }
    hook["default"]["v"] = {"type": "Z"}
    calling = {
        **{"kind": "dataclass", "path": "nowhere:Y", "name": "Y", "doc": None},
        **{"frozen": False, "fields": [hook]},
    }
    instance = {"$": "dataclass", "type": "Y", "v": {}}
    named = {"name": "x", "type": "str"}
    victim = {"kind": "dataclass", "path": f"{BAIT}:Record", "name": "Record"}
    victim |= {"doc": None, "fields": [], "frozen": False}
    kind = {"kind": "enum", "path": f"{BAIT}:Kind", "name": "Kind", "base": "Enum"}
    kind |= {"members": [["A", "a"]]}
    root = {"root": True, "name": "X"}
    return {
        "serializer of ours": typed(
            {"X": model(field(pickled, "PlainSerializer", ours))}, shown
        ),
        "serializer of the victim": typed(
            {
                "X": model(
                    field("a", "PlainSerializer", missing(f"{BAIT}:pull_one"), "str")
                )
            },
            {"$": "model", "type": "X", "v": {"x": "a"}},
        ),
        "default validated by ours": typed(
            {"X": model(field(pickled, "BeforeValidator", ours) | checked)},
            {"$": "type", "v": {"type": "X"}},
        ),
        "default validated by a class": typed(
            {
                "X": model(
                    field("a", "BeforeValidator", class_call, "typing.Any") | checked
                ),
                "Y": image,
                "W": model(named, config={"alias_generator": _class("X")}, name="W"),
            },
            {"$": "type", "v": {"type": "W"}},
        ),
        "root model": typed(
            {
                "X": model(
                    {
                        **field("a", "BeforeValidator", class_call, "typing.Any"),
                        "name": "root",
                    },
                    **root,
                ),
                "Y": image,
                "W": model(named, config={"alias_generator": _class("X")}, name="W"),
            },
            {"$": "type", "v": {"type": "W"}},
        ),
        "dataclass that is called": typed(
            {
                "X": model(field("a", "PlainSerializer", instance, "str")),
                "Y": calling,
                "Z": image,
            },
            {"$": "model", "type": "X", "v": {"x": "a"}},
        ),
        "alias generator": typed(
            {
                "X": model(
                    {"name": "x", "type": "str"},
                    config={"alias_generator": missing(f"{BAIT}:pull_one")},
                )
            },
            {"$": "type", "v": {"type": "X"}},
        ),
        "alias generator that is a class": typed(
            {"X": model(named, config={"alias_generator": _class("Y")}), "Y": image},
            {"$": "type", "v": {"type": "X"}},
        ),
        "schema extra": typed(
            {
                "X": model(
                    {"name": "x", "type": "str"},
                    config={"json_schema_extra": missing(f"{BAIT}:pull_one")},
                )
            },
            {"$": "model", "type": "X", "v": {"x": "a"}},
        ),
        "constructor": lambda document: document["program"].update(
            {"class": f"{BAIT}:Program"}
            | {"state": {**document["program"]["state"], "path": missing("x:y")}}
        ),
        "reward of the victim": lambda document: document["program"]["state"].update(
            reward_fn=missing(f"{BAIT}:pull_one")
        ),
        "enum that looks up": typed({"X": kind}, {"$": "enum", "type": "X", "v": 7}),
        "dataclass that hooks": typed(
            {"X": victim}, {"$": "dataclass", "type": "X", "v": {"name": "a"}}
        ),
        "factory": typed(
            {"X": model({"name": "x", "type": "str", "factory": ours})},
            {"$": "type", "v": {"type": "X"}},
        ),
    }


class Mutator:
    """Makes hostile documents out of honest ones, the same for the same seed.

    Args:
        documents: Honest documents by name.
        seed: Of the dice.
    """

    def __init__(self, documents: dict[str, Document], seed: int) -> None:
        self.documents = documents
        self.dice = random.Random(seed)  # noqa: S311 no secret
        self.paths = importable()
        self.replaced: list[str] = []

    def path(self) -> str:
        """What a document might name; half of it is known to be dangerous."""
        pool = DANGEROUS if self.dice.random() < 0.5 else self.paths
        path = self.dice.choice(pool)
        self.replaced.append(path)
        return path

    def __call__(self) -> tuple[str, Document]:
        """One hostile document, with what was done to it."""
        name = self.dice.choice(sorted(self.documents))
        document = copy.deepcopy(self.documents[name])
        self.replaced = []
        done = []
        for _ in range(self.dice.choice([1, 1, 2, 3])):
            change = self.dice.choice(
                [
                    *(self.refer, self.refer, self.node, self.key, self.name),
                    *(self.type, self.field, self.field),
                ]
            )
            done.append(f"{change.__name__}({change(document)})")
        return f"{name}: {', '.join(done)}", document

    def each(self) -> Iterator[tuple[str, Document, str]]:
        """Every reference of every document, replaced by every dangerous path."""
        seen = set()
        for name, document in sorted(self.documents.items()):
            for holder, key in references(document):
                before = holder[key]
                if (key, before) in seen:
                    continue
                seen.add((key, before))
                for path in DANGEROUS:
                    holder[key] = path
                    yield f"{name}: {key}: {before} -> {path}", document, path
                holder[key] = before

    def _place(self, document: Document) -> Place:
        every = list(places([document["program"], document["types"]]))[2:]
        return self.dice.choice(every)

    def refer(self, document: Document) -> str:
        """A reference names something else."""
        found = references(document)
        if not found:
            return "none"
        holder, key = self.dice.choice(found)
        before, holder[key] = holder[key], self.path()
        return f"{key}: {before} -> {holder[key]}"

    def node(self, document: Document) -> str:
        """A node is a hostile one."""
        holder, key = self._place(document)
        holder[key] = hostile_value(self.dice, self.path())
        self._add_type(document)
        return f"{key}: {holder[key]!r:.300}"

    def key(self, document: Document) -> str:
        """A mapping gets one more key."""
        holders = [h for h, _ in places(document["program"]) if isinstance(h, dict)]
        holders += [h for h, _ in places(document["types"]) if isinstance(h, dict)]
        holder = self.dice.choice(holders)
        path = self.path()
        extra = self.dice.choice(
            [
                hostile_field(self.dice, path),
                {"config": hostile_config(self.dice, path)},
                {self.dice.choice(NAMES): hostile_value(self.dice, path)},
            ]
        )
        holder.update(extra)
        self._add_type(document)
        return f"{extra!r:.300}"

    def field(self, document: Document) -> str:
        """A field of a rebuilt class gets code, or the class a configuration."""
        path = self.path()
        fields = [
            (types, holder)
            for types in document["types"].values()
            if isinstance(types, dict) and isinstance(types.get("fields"), list)
            for holder in types["fields"]
            if isinstance(holder, dict)
        ]
        if not fields:
            return "none"
        types, holder = self.dice.choice(fields)
        types["path"] = self.dice.choice([types.get("path"), "nowhere:X"])
        if self.dice.random() < 0.4:
            types["config"] = hostile_config(self.dice, path)
        else:
            hostile = hostile_field(self.dice, path)
            holder.update({k: v for k, v in hostile.items() if k != "type"})
            holder["name"] = self.dice.choice([holder.get("name"), hostile["name"]])
        self._add_type(document)
        return f"{path}: {types!r:.300}"

    def name(self, document: Document) -> str:
        """A name is a strange one."""
        every = list(places([document["program"], document["types"]]))[2:]
        named = [(h, k) for h, k in every if k in ("name", "id") or k in NAMES]
        strange = self.dice.choice(NAMES)
        if named and self.dice.random() < 0.6:
            holder, key = self.dice.choice(named)
            holder[key] = strange
        else:
            holder, key = self.dice.choice([p for p in every if isinstance(p[1], str)])
            holder[strange] = holder.pop(key)
        return f"{key}: {strange!r}"

    def type(self, document: Document) -> str:
        """A class is another one."""
        path = self.path()
        hostile = hostile_type(self.dice, path)
        names = sorted(document["types"])
        name = self.dice.choice(names) if names else "X"
        document["types"][name] = hostile
        if not names:
            holder, key = self._place(document)
            holder[key] = self.dice.choice(
                [{"type": "X"}, {"$": "type", "v": {"type": "X"}}]
            )
        return f"{name}: {hostile!r:.300}"

    def _add_type(self, document: Document) -> None:
        document["types"].setdefault("X", hostile_type(self.dice, self.path()))
        if self.dice.random() < 0.5:  # a class of a library, to be called
            path = self.dice.choice([IMAGE, self.path()])
            self.replaced.append(path)
            document["types"]["Z"] = {"kind": "model", "path": path}


def first_version() -> Document:
    """A small document as the first version of the format wrote it."""
    field = {"name": "question", "type": "str"}
    inputs = {
        "__dspy_field_type": "input",
        "prefix": "Question:",
        "desc": "${question}",
    }
    outputs = {"__dspy_field_type": "output", "prefix": "Answer:", "desc": "${answer}"}
    signature = {
        "$": "signature",
        "name": "StringSignature",
        "instructions": "Answer.",
        "fields": [
            {**field, "extra": inputs},
            {"name": "answer", "type": "str", "extra": outputs},
        ],
    }
    state = {"stage": "0123456789abcdef", "signature": signature}
    return {
        "format": "po_optimizer.program",
        "format_version": 1,
        "made_with": {"python": "3.11", "dspy": "3.4.1", "pydantic": "2.14.3"},
        "provenance": {},
        "n_predictors": 1,
        "n_demos": 0,
        "fingerprint": {"self": "0" * 64},
        "program": {
            "$": "module",
            "id": 0,
            "class": "dspy.predict.predict:Predict",
            "state": state,
        },
        "types": {},
        "not_stored": [],
    }
