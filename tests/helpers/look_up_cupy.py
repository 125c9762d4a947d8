"""Look up names and calls in CuPy; a program, since CuPy without cuBLAS needs a process of its own.

usage: look_up_cupy.py [STAND_IN.so ...] < USES.json

CuPy imports without a GPU or a driver, but its module `cupy.cuda.cublas` is linked to cuBLAS, of
which the stand-ins have the file names and nothing else. USES.json is a list of (name, number of
positional arguments or null, keywords); the problems found are printed as a JSON list.
"""

import ctypes
import inspect
import json
import os
import sys
from importlib import import_module


def import_cupy(libraries: list[str]) -> None:
    os.environ["CUPY_CI"] = "1"  # do not search for CUDA's libraries
    for library in libraries:
        ctypes.CDLL(library)
    sys.setdlopenflags(os.RTLD_LAZY)  # the functions of cuBLAS are missing, and never called
    import_module("cupy")
    import_module("cupyx.scipy.fft")


def find(name: str) -> object:
    module, *attributes = name.split(".")
    found: object = sys.modules[module]
    for attribute in attributes:
        found = getattr(found, attribute)
    return found


def signature_of(function: object, name: str) -> inspect.Signature:
    """Return the signature, for functions in C that of the first lines of the docstring."""
    try:
        return inspect.signature(function)
    except ValueError:
        found = documented_signature(function.__doc__ or "")
        is_method = inspect.ismethoddescriptor(function)
        parameters = list(found.parameters.values())[1 if is_method else 0 :]
        return found.replace(parameters=parameters)


def documented_signature(text: str) -> inspect.Signature:
    """Return the signature of a text such as ``name(int a, *, b=1) -> int``."""
    start = text.index("(") + 1
    parameters, word, depth = [], "", 1
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    for character in text[start:]:
        depth += (character in "([{") - (character in ")]}")
        if depth and not (character == "," and depth == 1):
            word += character
            continue
        declared, has_default, _ = word.strip().partition("=")
        if declared == "*":
            kind = inspect.Parameter.KEYWORD_ONLY
        elif declared:
            label = declared.split()[-1]
            default = None if has_default else inspect.Parameter.empty
            own = kind if not label.startswith("*") else inspect.Parameter.VAR_POSITIONAL
            if label.startswith("**"):
                own = inspect.Parameter.VAR_KEYWORD
            parameters.append(inspect.Parameter(label.strip("*"), own, default=default))
            if own is inspect.Parameter.VAR_POSITIONAL:
                kind = inspect.Parameter.KEYWORD_ONLY
        if not depth:
            break
        word = ""
    return inspect.Signature(parameters)


def problem_of(name: str, positional: int | None, keywords: list[str]) -> str | None:
    """Return why a name does not exist, or cannot be called in this way."""
    try:
        found = find(name)
    except AttributeError as error:
        return f"{name}: {error}"
    if positional is None:
        return None
    if hasattr(found, "nin"):  # a ufunc
        fits = found.nin <= positional <= found.nin + found.nout and {*keywords} <= {"out", "dtype"}
        return None if fits else f"{name}: takes {found.nin} arrays"
    try:
        signature_of(found, name).bind(*range(positional), **dict.fromkeys(keywords))
    except TypeError as error:
        return f"{name}: {error}"
    return None


if __name__ == "__main__":
    import_cupy(sys.argv[1:])
    problems = [problem_of(*use) for use in json.load(sys.stdin)]
    json.dump([problem for problem in problems if problem], sys.stdout)
