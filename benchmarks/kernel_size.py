"""How many lines of code the kernel has; docstrings, comments, blank lines and the test kit do not count."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

KERNEL = Path(__file__).resolve().parent.parent / "kernel"
NOT_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING,
    tokenize.ENDMARKER,
}  # fmt: skip
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def lines_by_folder() -> dict[str, int]:
    """Return the lines of code of each folder in ``kernel/``, "." for its own files."""
    sizes: dict[str, int] = {}
    for path in sorted(KERNEL.rglob("*.py")):
        inside = path.relative_to(KERNEL)
        if inside.parts[0] != "testing":
            folder = inside.parts[0] if len(inside.parts) > 1 else "."
            sizes[folder] = sizes.get(folder, 0) + lines_of_code(path.read_text(encoding="utf-8"))
    return sizes


def lines_of_code(source: str) -> int:
    """Count the lines that hold code other than a docstring; a text over several lines counts as all of them."""
    lines = {
        number
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in NOT_CODE
        for number in range(token.start[0], token.end[0] + 1)
    }
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            docstring = node.body[0]
            lines -= set(range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1))
    return len(lines)


def main() -> None:
    """Print the lines of each folder and their sum."""
    sizes = lines_by_folder()
    for folder, lines in sizes.items():
        print(f"{lines:6,}  kernel/{'' if folder == '.' else folder}")
    print(f"{sum(sizes.values()):6,}  in all")


if __name__ == "__main__":
    main()
