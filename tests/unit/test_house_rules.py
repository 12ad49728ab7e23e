"""The rules of the house that no linter knows; each is shown to find what it forbids."""

from __future__ import annotations

import ast
import configparser
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN_NAMES = {
    *("utils", "util", "helpers", "helper", "common", "core", "constants", "types", "managers", "manager"),
    *("factory", "factories", "dependencies", "misc", "repositories"),
}
MOCKING = {"mock", "unittest.mock", "pytest_mock"}
SKIPPING = {"skip", "skipif", "importorskip", "xfail"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`find` yields the line of each breach in a file that `where` matches and `but` does not.

    No breach is without one of the `words`, if there are any: a file that has none of them need not be parsed.
    """

    says: str
    where: tuple[str, ...]
    but: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    find: Callable[[ast.AST, str], Iterator[int]]
    breach: str

    def covers(self, path: str) -> bool:
        return path.startswith(self.where) and not path.startswith(self.but or ("\0",))

    def breaches(self, source: str) -> Iterator[int]:
        if not self.words or any(word in source for word in self.words):
            yield from self.find(ast.parse(source), source)


def attributes(owner: str, *names: str) -> Callable[[ast.AST, str], Iterator[int]]:
    """`owner.name` and `from owner import name`."""

    def find(tree: ast.AST, _source: str) -> Iterator[int]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in names and ast.unparse(node.value) == owner:
                yield node.lineno
            if isinstance(node, ast.ImportFrom) and node.module == owner and any(a.name in names for a in node.names):
                yield node.lineno

    return find


def calls_of_method(name: str) -> Callable[[ast.AST, str], Iterator[int]]:
    def find(tree: ast.AST, _source: str) -> Iterator[int]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == name:
                yield node.lineno

    return find


def prints(tree: ast.AST, _source: str) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield node.lineno


def mocks(tree: ast.AST, _source: str) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and any(alias.name in MOCKING for alias in node.names):
            yield node.lineno
        if isinstance(node, ast.ImportFrom):
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            if node.module in MOCKING or full & MOCKING:
                yield node.lineno
        if isinstance(node, ast.arg) and node.arg == "mocker":
            yield node.lineno


def skips(tree: ast.AST, _source: str) -> Iterator[int]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or node.attr not in SKIPPING:
            continue
        if ast.unparse(node.value) in {"pytest", "pytest.mark", "unittest"}:
            yield node.lineno


def anything_but_a_docstring(tree: ast.AST, _source: str) -> Iterator[int]:
    body = tree.body if isinstance(tree, ast.Module) else []
    for node in body:
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            yield node.lineno


def bare_type_ignores(_tree: ast.AST, source: str) -> Iterator[int]:
    for number, line in enumerate(source.splitlines(), start=1):
        if re.search(r"#\s*type:\s*ignore(?!\[[\w, -]+\]\s+#\s*\S)", line):
            yield number


EVERYWHERE = ("app/", "chaos/", "bench/", "tests/", "migrations/")
THIS_FILE = "tests/unit/test_house_rules.py"
RULES = [
    Rule(
        says="only app/settings.py reads the environment",
        where=("app/",),
        but=("app/settings.py",),
        words=("env",),
        find=attributes("os", "environ", "getenv", "environb", "putenv"),
        breach="import os\nos.environ['X']",
    ),
    Rule(
        says="only a poller sleeps",
        where=EVERYWHERE,
        but=("app/polling.py", "chaos/polling.py"),
        words=("sleep",),
        find=attributes("time", "sleep"),
        breach="from time import sleep",
    ),
    Rule(
        says="only the unit of work and the relay commit",
        where=("app/",),
        but=("app/services/unit_of_work.py", "app/tasks/relay.py"),
        words=("commit",),
        find=calls_of_method("commit"),
        breach="session.commit()",
    ),
    Rule(
        says="times are aware of their zone",
        where=EVERYWHERE,
        words=("utcnow", "utcfromtimestamp"),
        find=attributes("datetime", "utcnow", "utcfromtimestamp"),
        breach="datetime.utcnow()",
    ),
    Rule(
        says="only the command line prints",
        where=("app/",),
        but=("app/cli",),
        words=("print",),
        find=prints,
        breach="print(1)",
    ),
    Rule(
        says="tests use fakes we own, not mocks",
        where=("tests/",),
        words=("mock",),
        find=mocks,
        breach="from unittest import mock",
    ),
    Rule(
        says="tests do not replace parts of a program behind its back",
        where=("tests/",),
        words=("setattr",),
        find=attributes("monkeypatch", "setattr"),
        breach="monkeypatch.setattr(module, 'name', 1)",
    ),
    Rule(says="no test is skipped", where=("tests/",), words=tuple(SKIPPING), find=skips, breach="pytest.mark.skip"),
    Rule(
        says="every ignored type error has its code and its reason",
        where=EVERYWHERE,
        but=(THIS_FILE,),
        words=("type:",),
        find=bare_type_ignores,
        breach="x = 1  # type: ignore[assignment]",
    ),
]
PACKAGES_EXPORT_NOTHING = Rule(
    says="a package exports nothing",
    where=EVERYWHERE,
    find=anything_but_a_docstring,
    breach='"""A package."""\nfrom app.settings import Settings',
)


def sources() -> Iterator[tuple[str, Path]]:
    for folder in EVERYWHERE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path


def breaches(rule: Rule, paths: Iterator[tuple[str, Path]]) -> list[str]:
    found = []
    for name, path in paths:
        if rule.covers(name):
            found += [f"{name}:{line}" for line in rule.breaches(path.read_text())]
    return found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.says.replace(" ", "-"))
def test_the_house_keeps_its_rule(rule: Rule) -> None:
    assert breaches(rule, sources()) == [], rule.says


@pytest.mark.parametrize("rule", [*RULES, PACKAGES_EXPORT_NOTHING], ids=lambda rule: rule.says.replace(" ", "-"))
def test_the_rule_finds_a_breach(rule: Rule) -> None:
    assert list(rule.breaches(rule.breach))


def test_a_package_exports_nothing() -> None:
    packages = ((name, path) for name, path in sources() if path.name == "__init__.py")
    assert breaches(PACKAGES_EXPORT_NOTHING, packages) == []


def test_a_file_is_named_after_the_noun_it_defines() -> None:
    assert [name for name, path in sources() if {path.stem, *Path(name).parts} & FORBIDDEN_NAMES] == []


def test_every_module_of_the_app_is_placed_in_a_layer() -> None:
    configuration = configparser.ConfigParser()
    configuration.read(ROOT / ".importlinter")
    placed = set(re.findall(r"app[\w.]*", configuration["importlinter:contract:layers"]["layers"]))
    homeless = []
    for name, path in sources():
        if name.startswith("app/") and path.name != "__init__.py":
            parts = Path(name).with_suffix("").parts
            if not placed & {".".join(parts[:length]) for length in range(2, len(parts) + 1)}:
                homeless.append(name)
    assert homeless == [], "place them in .importlinter"
