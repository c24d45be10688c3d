"""What no module may do, as a rule on its source: execute what it reads, unpack archives to disk, fetch anything."""

import ast
from collections.abc import Iterator

MODULES = {
    "pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml", "tarfile", "runpy",
    "code", "codeop", "multiprocessing",
    "imp", "xml", "xmlrpc", "socket", "socketserver", "ssl", "urllib", "http", "ftplib", "smtplib",
    "telnetlib", "requests", "httpx", "aiohttp", "huggingface_hub",
}  # fmt: skip
MAY_FETCH = "byhand/fetch.py"  # inside a function, for a command that says --allow-download
MAY_OPEN_PICKLES = "byhand/convert.py"  # tensors only, in a process of its own
MAY_IMPORT_BY_NAME = ("kinds.py", "pipeline.py", "doctor.py")  # of names that the package itself has
MAY_OPEN_ARCHIVES = "data/sources/medmnist.py"  # arrays in memory, their headers judged first
CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "torch.load", "torch.hub.load", "torch.jit.load",
    "torch.package.PackageImporter", "torch.hub.load_state_dict_from_url", "shutil.unpack_archive",
    "pandas.read_pickle", "concurrent.futures.ProcessPoolExecutor", "torch.multiprocessing.Pool",
    "numpy.lib.format.read_array",
}  # fmt: skip
METHODS = {"extractall", "extract", "read_pickle", "unpack_archive", "execv", "execve", "spawnl", "spawnv"}
SHORT = {"np": "numpy", "pd": "pandas"}


def faults(source: str, name: str) -> Iterator[str]:
    """`name` is the module's path in the package. Each fault as `line: what`."""
    tree = ast.parse(source)
    known = {**SHORT}
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    inside = {id(node) for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {alias.asname: alias.name for alias in node.names if alias.asname}
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            known |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            imported = [str(node.module)]
        else:
            continue
        for module in imported:
            fetches = id(node) in inside and (name, module) == (MAY_FETCH, "urllib.request")
            if module.partition(".")[0] in MODULES and not fetches:
                yield f"{node.lineno}: {module}"
            if module == "importlib" and name not in MAY_IMPORT_BY_NAME and "import_module" in ast.unparse(node):
                yield f"{node.lineno}: {ast.unparse(node)}"
            if module == "zipfile" and name != MAY_OPEN_ARCHIVES:
                yield f"{node.lineno}: {module}"
    for node in ast.walk(tree):
        if isinstance(node, ast.List | ast.Tuple):
            words = {word.value for word in node.elts if isinstance(word, ast.Constant)}
            if words & {"-m", "-c"} and not words & {"-P", "-I"}:
                yield f"{node.lineno}: a Python that looks into the current directory first"
        if isinstance(node, ast.Call):
            yield from (f"{node.lineno}: {fault}" for fault in _of_call(node, name, known))


def _of_call(node: ast.Call, name: str, known: dict[str, str]) -> Iterator[str]:
    first, dot, rest = ast.unparse(node.func).partition(".")
    called = f"{known.get(first, first)}{dot}{rest}"
    words = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
    tensors_only = (name, called, words.get("weights_only")) == (MAY_OPEN_PICKLES, "torch.load", "True")
    method = called.rpartition(".")[2]
    if called == "importlib.import_module" and name not in MAY_IMPORT_BY_NAME:
        yield called
    if (called in CALLS or (isinstance(node.func, ast.Attribute) and method in METHODS)) and not tensors_only:
        yield called
    for word in ("shell", "allow_pickle", "trust_remote_code"):
        if words.get(word, "False") != "False":
            yield f"{called}({word}={words[word]})"
    if called in ("numpy.load", "numpy.save", "numpy.savez") and "allow_pickle" not in words:
        yield f"{called} without allow_pickle=False"
    if (
        called.endswith("from_pretrained")
        and (words.get("local_files_only"), words.get("use_safetensors")) != ("True",) * 2
    ):
        yield f"{called} may fetch, or read a pickle"
    if called.endswith("create_model") and words.get("pretrained") != "False":
        yield f"{called} may fetch"
