"""Files of the user's own: what they add can be chosen, and what is wrong with one is a line."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner import userparts
from runner.catalog import BACKBONES, OPTIMIZERS, PARTS
from runner.protocol import Plugin
from sweeps.space.identity import differences, identity
from sweeps.space.loader import load
from sweeps.space.problems import SpaceErrors
from sweeps.space.resolve import resolve
from sweeps.space.schema import SearchSpace

THIN = """\
from runner.catalog import Backbone, add
add(Backbone("thin", "Thin", "my_parts.py", config={"type": "Thin"}, tiny_channels=(4, 8, 16, 32)))
"""
SPACE = "study: s\ndata: demo\nfixed: {backbone: thin}\nplugins: [my_parts.py]\n"


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test adds to the catalog is taken out after it."""
    monkeypatch.chdir(tmp_path)
    before, folders = {part: list(entries) for part, entries in PARTS.items()}, [*sys.path]
    yield
    for module in list(userparts.loaded()):
        userparts.unload(module)
    assert ({part: list(entries) for part, entries in PARTS.items()}, sys.path) == (before, folders)


def write(text: str, name: str = "my_parts.py") -> Path:
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path.absolute()


def space(text: str = SPACE, *overrides: str) -> SearchSpace:
    return load(write(text, "x.yaml").relative_to(Path.cwd()), overrides)


def mistakes(text: str) -> list[str]:
    with pytest.raises(SpaceErrors) as caught:
        space(f"study: s\ndata: demo\nfixed: {{epochs: 1}}\n{text}\n")
    return [problem.text() for problem in caught.value.problems]


def test_what_a_file_adds_can_be_chosen() -> None:
    path = write(THIN)
    found = space()
    combination, _ = resolve(found, {}, "tiny", 100)
    assert combination.backbone.name == "thin"
    assert found.plugins == (Plugin(path=str(path), sha256=hashlib.sha256(THIN.encode()).hexdigest()),)
    assert userparts.loaded() == {"my_parts": (("backbone", "thin"),)}


def test_every_kind_of_part() -> None:
    write(
        """\
from runner.catalog import Augmentation, Backbone, Entry, Model, Parameter, add
add(Backbone("thin", "Thin", "here", config={"type": "Thin"}))
add(Model("mine", "Mine", "here", zoo="mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py", backbone="thin"))
add(Augmentation("grain", "Grain", "here", {"sigma": Parameter("float", 8.0, 0, 64)}))
add(Entry("Walk", "Walk", "here", {"lr": Parameter("float", 0.1, 0, 1)}), part="optimizer")
add(Entry("Saw", "Saw", "here"), part="schedule")
"""
    )
    found = space(
        "study: s\ndata: demo\nplugins: [my_parts.py]\nbudget: {trials: 2}\n"
        "fixed: {schedule: Saw, model: mine}\n"
        "search: {augmentation: [grain: {sigma: {float: [1, 2]}}], optimizer: {Walk: {lr: [0.1, 0.2]}, AdamW: }}\n"
    )
    chosen = {"augmentation": "grain", "augmentation.grain.sigma": 1.5, "optimizer": "Walk", "optimizer.Walk.lr": 0.2}
    combination, _ = resolve(found, chosen, "standard", 100)
    assert combination.backbone.name == "thin"  # the model's own
    assert combination.augmentation[0].params == {"sigma": 1.5}
    assert (combination.optimizer.params["lr"], combination.schedule) == (0.2, combination.schedule)
    assert combination.schedule and combination.schedule.name == "Saw"


def test_the_same_file_twice_is_harmless() -> None:
    write(THIN)
    assert space().plugins == space().plugins
    assert "thin" in BACKBONES


def test_a_changed_file_is_noticed() -> None:
    write(THIN)
    before = space()
    write(THIN.replace('"thin"', '"slim"'))  # the same length, within the same second
    after = space(SPACE.replace("thin", "slim"))
    assert "thin" not in BACKBONES and "slim" in BACKBONES
    (line,) = differences(identity(before, "tiny", "ab"), {**identity(after, "tiny", "ab"), "fixed": before_fixed()})
    assert line == f"plugins.my_parts: {before.plugins[0].sha256[:12]} there, {after.plugins[0].sha256[:12]} here"


def before_fixed() -> dict[str, str]:
    return {"backbone": "thin"}


def test_a_study_without_plugins_is_the_one_it_was() -> None:
    found = identity(load(write("study: s\ndata: demo\nfixed: {epochs: 1}\n", "x.yaml")), "tiny", "ab")
    assert differences({k: v for k, v in found.items() if k != "plugins"}, found) == []


def test_paths_are_relative_to_the_space_or_to_here(tmp_path: Path) -> None:
    write(THIN, "parts/my_parts.py")
    text = "study: s\ndata: demo\nfixed: {backbone: thin}\n"
    inside = write(f"{text}plugins: [my_parts.py]\n", "parts/x.yaml")
    assert load(inside).plugins == space(text, "plugins=[parts/my_parts.py]").plugins


def test_a_neighbour_can_be_imported_and_prints_stay_off_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    write("SIZES = (4, 8, 16, 32)\n", "sizes_of_mine.py")
    write("import sizes_of_mine\nprint(sizes_of_mine.SIZES)\n" + THIN)
    space()
    assert capsys.readouterr() == ("", "(4, 8, 16, 32)\n")
    sys.modules.pop("sizes_of_mine")


# text of the file -> what the line says after its place
BROKEN = {
    "def f(:\n": "my_parts.py:1: invalid syntax",
    "x = 1\nx\0 = 2\n": "my_parts.py:1: source code string cannot contain null bytes",
    "# \xff\nimport nowhere_at_all\n": "my_parts.py:2: ModuleNotFoundError: No module named 'nowhere_at_all'",
    "def f():\n    raise ValueError('two\\nlines')\n\nf()\n": "my_parts.py:2: ValueError: two",
    "import sys\nsys.exit('no')\n": "my_parts.py:2: SystemExit: no",
    "x = 1\n": (
        "my_parts.py adds nothing; write add(Backbone(...)) or the like in it, at the top level"
    ),
    THIN.replace('"thin"', '"resnet18"'): (
        "my_parts.py:2: there is a backbone resnet18 already; write another name"
    ),
    THIN + THIN: "my_parts.py:4: there is a backbone thin already; write another name",
    THIN.replace('"thin"', '"very.thin"'): (
        "my_parts.py:2: expected a name of letters, digits and '_', found 'very.thin'"
    ),
    THIN.replace('"thin"', '"none"'): "my_parts.py:2: expected a name of letters, digits and '_', found 'none'",
    THIN.replace("config=", "konfig="): (
        "my_parts.py:2: TypeError: Backbone.__init__() got an unexpected keyword argument 'konfig'"
    ),
    "from runner.catalog import add\nadd({})\n": (
        "my_parts.py:2: expected an entry such as Backbone(...), found {}"
    ),
    "from runner.catalog import Entry, add\nadd(Entry('Walk', 'Walk', 'here'))\n": (
        "my_parts.py:2: Walk: the part is not known; write add(..., part=NAME), one of "
        "model, backbone, augmentation, optimizer, schedule"
    ),
    THIN.replace("32)))", "32)), part='model')"): "my_parts.py:2: thin: a Backbone is no model; write part='backbone'",
    "from runner.catalog import Model, add\nadd(Model('m', 'M', 'here', backbone='thick'))\n": (
        "my_parts.py:2: m: there is no backbone thick; add it first"
    ),
}  # fmt: skip


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_file(text: str) -> None:
    path = Path("my_parts.py")
    path.write_bytes(text.encode())
    assert mistakes("plugins: [my_parts.py]") == [f"x.yaml:4:11: plugins[0]: {BROKEN[text]}"]
    assert "my_parts" not in sys.modules
    path.write_text(THIN)
    space()  # mended, it comes


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("plugins: my_parts.py", "4:1: plugins: expected a list of Python files, found my_parts.py; "
         "write plugins: [my_parts.py]"),
        ("plugins: 3", "4:1: plugins: expected a list of Python files, found 3; write plugins: [my_parts.py]"),
        ("plugins: [3]", "4:11: plugins[0]: expected the path of a Python file, found 3"),
        ("plugins: [my_part.py]", "4:11: plugins[0]: expected a Python file, found my_part.py, and there is no such "
         "file in {here}; did you mean my_parts.py?"),
        ("plugins: [parts]", "4:11: plugins[0]: expected a Python file, found the folder parts"),
        ("plugins: [my_parts]", "4:11: plugins[0]: expected a Python file, found my_parts; write my_parts.py"),
        ("plugins: [my-parts.py]", "4:11: plugins[0]: expected letters, digits and '_' in the name of a Python file, "
         "found my-parts.py; name the file differently"),
        ("plugins: [my_parts.py, parts/my_parts.py]", "4:24: plugins[1]: parts/my_parts.py has the name of "
         "{here}/my_parts.py, which stands here already; name the file differently"),
        ("plugins: [json.py]", "4:11: plugins[0]: json.py would hide the module json ({json}); "
         "name the file differently"),
        ("plugins: [runner.py]", "4:11: plugins[0]: runner.py would hide the module runner ({runner}); "
         "name the file differently"),
        ("plugins: [sys.py]", "4:11: plugins[0]: sys.py would hide the module sys (built-in); "
         "name the file differently"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_one(line: str, said: str, tmp_path: Path) -> None:
    import json

    import runner

    for name in ("my_parts.py", "my-parts.py", "json.py", "runner.py", "sys.py"):
        write(THIN, name)
    write(THIN.replace("thin", "slim"), "parts/my_parts.py")
    places = {"here": tmp_path, "json": json.__file__, "runner": runner.__file__}
    assert mistakes(line) == [f"x.yaml:{said.format(**places)}"]


def test_another_file_of_a_name_that_is_imported() -> None:
    first = write(THIN)
    space()
    write(THIN.replace("thin", "slim"), "parts/my_parts.py")
    assert mistakes("plugins: [parts/my_parts.py]") == [
        f"x.yaml:4:11: plugins[0]: a plugin of this name is imported from {first}; name the file differently"
    ]


def test_what_a_broken_file_would_have_added_is_not_unknown() -> None:
    write("def f(:\n")
    lines = mistakes("search: {backbone: [thin, resnet18], model: [htc], batch_size: [many]}\nplugins: [my_parts.py]")
    assert lines == [
        "x.yaml:4:65: search.batch_size[0]: expected a whole number, found 'many'",
        "x.yaml:5:11: plugins[0]: my_parts.py:1: invalid syntax",
    ]


def test_a_trainer_takes_only_the_file_of_the_lease() -> None:
    path = write(THIN)
    (plugin,) = space().plugins
    assert userparts.load_all([plugin]) == ["my_parts"]
    path.write_text(THIN + "# changed\n")
    with pytest.raises(userparts.PluginChangedError) as caught:
        userparts.load_all([plugin])
    now = hashlib.sha256(path.read_bytes()).hexdigest()
    assert str(caught.value) == (
        f"plugin {path} changed since the study began: its hash is {now[:12]} now, {plugin.sha256[:12]} then; "
        "put the old file back, or name another study with --set study=NAME"
    )
    path.unlink()
    with pytest.raises(userparts.PluginChangedError, match="there is no such file on this machine; put it there"):
        userparts.load_all([plugin])
    assert "thin" not in OPTIMIZERS


def test_a_backbone_without_imagenet_weights_starts_at_random_at_standard() -> None:
    write(THIN)
    combination, _ = resolve(space(), {}, "standard", 100)
    assert combination.settings["pretrained"] == "none"
    path = write(SPACE.replace("thin}", "thin, pretrained: imagenet}"), "x.yaml")
    with pytest.raises(SpaceErrors) as caught:
        load(path, scale=lambda _: "standard")
    assert [problem.message for problem in caught.value.problems] == [
        "pretrained imagenet with backbone thin cannot work at scale standard: "
        "the catalog knows no ImageNet weights of it"
    ]


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ('Entry("Still", "still", "x", {}), part="optimizer"', "Still: expected a parameter lr, found none"),
        ('Backbone("b", "b", "x", config={"type": "B"}, channels=(1, 2, 3))',
         "b: expected the channels of four maps, found (1, 2, 3) and (64, 128, 256, 512)"),
        ('Augmentation("a", "a", "x", transforms=({"type": "T", "n": "$much"},))',
         "a: its transforms want $much, which is no parameter of it"),
        ('Model("m", "m", "x", zoo="nope/nope.py")', "m: MMDetection's zoo has no config 'nope/nope.py'"),
        ('Augmentation("a", "a", "x", {"p": Parameter("float", 9.0, 0, 1)})',
         "a: default of p: expected a number from 0 to 1, found 9.0"),
    ],
)  # fmt: skip
def test_an_entry_that_every_trial_would_fail_at(entry: str, line: str) -> None:
    write(f"from runner.catalog import Augmentation, Backbone, Entry, Model, Parameter, add\nadd({entry})\n")
    found = mistakes("plugins: [my_parts.py]")
    assert len(found) == 1 and line in found[0], found
