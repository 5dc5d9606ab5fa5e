"""What is installed, what depends on what, and what the documentation shows."""

import ast
import doctest
import importlib
import inspect
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import mbrl_taskmet

ROOT = Path(__file__).parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
FOLDERS = {package: ROOT / folder for package, folder in SETUPTOOLS["package-dir"].items()}
"""The folders that the packages are mapped from, and all that lies below each."""

BELOW = {
    "mbrl_taskmet": set(),
    "mbrl_taskmet.envs": {"mbrl_taskmet"},
    "mbrl_taskmet.agents": {"mbrl_taskmet"},
    "mbrl_taskmet.benchmarks": {
        "mbrl_taskmet",
        "mbrl_taskmet.agents",
        "mbrl_taskmet.decision",
        "mbrl_taskmet.envs",
    },
    "mbrl_taskmet.decision": {"mbrl_taskmet"},
    "mbrl_taskmet.runs": {"mbrl_taskmet", "mbrl_taskmet.agents", "mbrl_taskmet.envs"},
    "mbrl_taskmet.studies": {
        "mbrl_taskmet",
        "mbrl_taskmet.agents",
        "mbrl_taskmet.decision",
        "mbrl_taskmet.envs",
        "mbrl_taskmet.runs",
    },
}
"""What each package may import of the others; the command line may import all."""


def packages_on_disk():
    return {
        ".".join((package, *init.parent.relative_to(folder).parts)): init.parent
        for package, folder in FOLDERS.items()
        for init in folder.rglob("__init__.py")
    }


PACKAGES = packages_on_disk()
DATA = {
    "mbrl_taskmet/py.typed",
    "mbrl_taskmet/decision/data/SOURCE.md",
    "mbrl_taskmet/decision/data/sp500.csv.gz",
}
"""What is installed beside the modules."""
SOURCES = {
    f"{package}.{path.stem}": path for package, f in PACKAGES.items() for path in f.glob("*.py")
}


def imported(module, path):
    """Names of the modules that a file imports anywhere, relative ones resolved."""
    package = module.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            above = parts[: len(parts) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return found


def package_of(name):
    """The package of ours that a module belongs to, if any."""
    while name and name not in PACKAGES:
        name = name.rpartition(".")[0]
    return name


def is_core(module):
    return module.rpartition(".")[0] == "mbrl_taskmet" and not module.endswith("__init__")


def test_the_packages_listed_are_those_on_disk():
    assert set(SETUPTOOLS["packages"]) == set(PACKAGES)


def test_the_core_knows_neither_environments_nor_stable_baselines():
    core = {module: imported(module, path) for module, path in SOURCES.items() if is_core(module)}
    assert len(core) > 5
    for module, names in core.items():
        roots = {name.partition(".")[0] for name in names}
        assert roots.isdisjoint({"gymnasium", "stable_baselines3", "tyro", "rich"}), module


def test_arrows_point_downward():
    for module, path in SOURCES.items():
        package = package_of(module)
        if package in BELOW and module != "mbrl_taskmet.__init__":
            used = {package_of(name) for name in imported(module, path)} - {"", package}
            # `import a.b` names `a` as well.
            assert used <= BELOW[package] | {"mbrl_taskmet"}, module


def test_every_package_has_its_rule():
    assert set(BELOW) | {"mbrl_taskmet.cli"} >= set(PACKAGES)


@pytest.mark.parametrize("module", ["mbrl_taskmet", "mbrl_taskmet.runs.parallel"])
def test_importing_the_package_or_what_trains_side_by_side_imports_no_agents(module):
    code = f"import sys, {module}; print('stable_baselines3' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "False\n", result.stderr


@pytest.mark.parametrize("name", mbrl_taskmet.__all__)
def test_agents_are_at_hand_in_the_package(name):
    assert getattr(mbrl_taskmet, name).__name__ == name


def test_an_unknown_name_in_the_package_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'TaskMat'"):
        mbrl_taskmet.TaskMat  # noqa: B018


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A wheel and an sdist, built from a copy of what is tracked or new."""
    tree = tmp_path_factory.mktemp("tree")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tree / name)
    result = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", tree / "dist", tree],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    (wheel,) = (tree / "dist").glob("*.whl")
    (sdist,) = (tree / "dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    return {"wheel": set(zipfile.ZipFile(wheel).namelist()), "sdist": in_sdist}


def test_the_wheel_holds_every_module_and_nothing_else(built):
    expected = {
        f"{package.replace('.', '/')}/{path.name}"
        for package, folder in PACKAGES.items()
        for path in folder.glob("*.py")
    }
    found = {name for name in built["wheel"] if ".dist-info/" not in name}
    assert found == expected | DATA


def test_the_sdist_holds_every_module_and_no_tests(built):
    expected = {str(path.relative_to(ROOT)) for path in SOURCES.values()}
    assert expected | DATA | {"pyproject.toml", "LICENSE"} <= built["sdist"]
    assert not [name for name in built["sdist"] if name.startswith("tests")]


def test_the_examples_in_the_documentation_are_true():
    # Not by `pkgutil`, to which an editable install does not show the mapped packages.
    names = [name.removesuffix(".__init__") for name in SOURCES]
    modules = [importlib.import_module(name) for name in names]
    results = {module.__name__: doctest.testmod(module) for module in modules}
    tested = {name for name, result in results.items() if result.attempted}
    assert tested == {module.__name__ for module in modules if ">>> " in inspect.getsource(module)}
    assert len(tested) > 1
    assert sum(result.failed for result in results.values()) == 0
