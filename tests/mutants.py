"""Small changes of a module, one at a time: does one of its quick tests fail? What no test finds is written down.

Changed are comparisons, arithmetic, `and` and `or`, signs, numbers, flags, texts, conditions, filters, returned values,
refusals, calls for their effect, and any/all, min/max, sorted; never annotations, docstrings or the words of an error.
A mutant is compiled in memory, in a fork of this process: no file changes, and Python's import finds the mutant.

    python tests/mutants.py docs/trust-mutants.json [medsynth/guards.py ...]

While a module stays as it is, only those that no test found are tried again; without the file, all are.
"""

import ast
import copy
import hashlib
import importlib.machinery
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TESTS = {
    "medsynth/guards.py": "tests/test_guards.py",
    "medsynth/data/folds.py": "tests/test_folds.py",
    "medsynth/rundir.py": "tests/test_rundir.py",
    "medsynth/artifacts/cohort.py": "tests/test_cohort.py",
    "medsynth/artifacts/checkpoint.py": "tests/test_checkpoint.py",
}
LONGEST_SECONDS = 60  # what takes longer is found: it does not end
OTHERS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.Pow: ast.Mult,
}  # fmt: skip
NAMES = {"any": "all", "all": "any", "min": "max", "max": "min", "argmin": "argmax", "sorted": "list"}


def altered(node: ast.AST) -> Iterator[ast.AST]:
    """What one node may be instead."""
    match node:
        case ast.Compare(ops=ops):
            for i, op in enumerate(ops):
                yield _with(node, ops=[*ops[:i], OTHERS[type(op)](), *ops[i + 1 :]])
        case ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.AugAssign(op=op) if type(op) in OTHERS:
            yield _with(node, op=OTHERS[type(op)]())
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield ast.Constant(value + 1)
        case ast.Constant(value=str(value)):
            yield ast.Constant(f"{value}X")
        case ast.If() | ast.While() | ast.IfExp():
            yield _with(node, test=ast.Constant(False))
            if not isinstance(node, ast.While):
                yield _with(node, test=ast.Constant(True))
        case ast.comprehension(ifs=[_, *_]):
            yield _with(node, ifs=[])
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield ast.Return(ast.Constant(None))
        case ast.Raise() | ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.Continue():
            yield ast.Break()
        case ast.Name(id=name) if name in NAMES:
            yield _with(node, id=NAMES[name])
        case ast.Attribute(attr=name) if name in NAMES:
            yield _with(node, attr=NAMES[name])


def _with(node: Any, **changes: Any) -> Any:
    new = copy.copy(node)
    for name, value in changes.items():
        setattr(new, name, value)
    return new


def _said(node: ast.AST) -> str:
    return ast.unparse(node).partition("\n")[0][:200]


def mutants(node: ast.AST) -> Iterator[tuple[int, str, str]]:
    """Line, what stood there, what stands there now. While one is looked at, the tree has it."""
    if isinstance(node, ast.Raise | ast.JoinedStr):
        return
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        parts = value if isinstance(value, list) else [value]
        for i, part in enumerate(parts):
            if not isinstance(part, ast.AST) or (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)):
                continue  # no node, or a docstring
            for new in altered(part):
                setattr(node, name, [*parts[:i], new, *parts[i + 1 :]] if isinstance(value, list) else new)
                yield getattr(part, "lineno", getattr(node, "lineno", 0)), _said(part), _said(new)
                setattr(node, name, value)
            yield from mutants(part)


def fails(module: str, tree: ast.Module) -> bool:
    """Whether the tests of a module fail with this in its place."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(LONGEST_SECONDS)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        try:
            os._exit(_tried(module, tree))
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1] != 0


def _tried(module: str, tree: ast.Module) -> int:
    import pytest

    code = compile(ast.fix_missing_locations(tree), str(ROOT / module), "exec")
    loader, name = importlib.machinery.SourceFileLoader, module.removesuffix(".py").replace("/", ".")
    real = loader.get_code
    loader.get_code = lambda self, asked: code if asked == name else real(self, asked)  # type: ignore[method-assign]
    return int(pytest.main(["-x", "-q", "--noconftest", "-p", "no:cacheprovider", str(ROOT / TESTS[module])]))


def judged(module: str, before: dict[str, Any]) -> dict[str, Any]:
    """How many mutants of a module there are, and which of them no test finds; `before` is what was known."""
    source = (ROOT / module).read_text(encoding="utf-8")
    tree, digest, tried, left = ast.parse(source), hashlib.sha256(source.encode()).hexdigest(), 0, []
    again = before["left"] if before.get("sha256") == digest else None
    assert not fails(module, tree), f"{TESTS[module]} has to pass"
    for line, old, new in mutants(tree):
        tried, mutant = tried + 1, {"line": line, "was": old, "is": new}
        if (again is None or mutant in again) and not fails(module, tree):
            left.append(mutant)
            print(f"{module}:{line}: {old}  ->  {new}", flush=True)
    return {"sha256": digest, "tests": TESTS[module], "mutants": tried, "found": tried - len(left), "left": left}


def main(out: Path, *modules: str) -> None:
    import hypothesis
    import numpy  # noqa: F401
    import pydantic  # noqa: F401
    import torch  # noqa: F401
    import typer  # noqa: F401  # all loaded once, for all forks

    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    found = [hypothesis.Phase.explicit, hypothesis.Phase.generate]  # the first failure is enough
    hypothesis.settings.register_profile("mutants", deadline=None, database=None, derandomize=True, phases=found)
    hypothesis.settings.load_profile("mutants")
    known = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
    for module in modules or TESTS:
        known[module] = judged(module, known.get(module, {}))
        out.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
