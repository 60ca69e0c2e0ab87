"""The reference pages, rendered from the source. `python -m tests.support.reference` rewrites them;
`tests/tidy/test_reference.py` compares."""

import ast
import re
from pathlib import Path

import msgspec

from tests.support import supported
from tintype import config, errors

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "docs" / "reference"
CODE = re.compile(r"[a-z][a-z0-9_]*")


def configuration() -> str:
    """Return the page of every setting, with its environment names and its default."""
    lines = [
        "# Configuration",
        "",
        "Read once at the start, from `supabase/config.toml` and the environment; the environment",
        "wins. An unknown key stops the start and names the nearest known one. `DATABASE_URL`",
        "names a Postgres 15 or newer instead of the embedded one, `TINTYPE_DATA` the data folder,",
        "`TINTYPE_KEYS_FILE` a keys file shared by several servers.",
        "",
    ]
    for section, kind in config.SECTIONS.items():
        lines += [
            f"## `[tintype.{section}]`",
            "",
            "| key | environment | default |",
            "|---|---|---|",
        ]
        for field in msgspec.structs.fields(kind):
            names = [
                f"`{name}`"
                for name, place in config.ENVIRONMENT.items()
                if place == (section, field.name)
            ]
            value = "none" if field.default is None else f"`{field.default}`"
            lines.append(f"| `{field.name}` | {', '.join(names)} | {value} |")
        lines.append("")
    lines += [
        "## `[functions.<name>]`",
        "",
        "`enabled`, `verify_jwt`, `entrypoint`, `import_map` and `static_files` as Supabase's CLI",
        "has them (the last two are read and not used), and `body_bytes_max`.",
        "",
    ]
    return "\n".join(lines)


def error_codes() -> str:
    """Return the page of every error code, with its HTTP status and the rooms that raise it."""
    rooms: dict[tuple[str, str], set[str]] = {}
    for path in sorted((ROOT / "tintype").rglob("*.py")):
        room = path.relative_to(ROOT / "tintype").parts[0].removesuffix(".py")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args:
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                first = node.args[0]
                kind = getattr(errors, name, None)
                is_ours = isinstance(kind, type) and issubclass(kind, errors.TintypeError)
                is_code = isinstance(first, ast.Constant) and CODE.fullmatch(str(first.value))
                if is_ours and is_code:
                    rooms.setdefault((str(first.value), name), set()).add(room)
    lines = [
        "# Error codes",
        "",
        "Stable. The body of a refused request is `{error, code, hint?}` with the details of its",
        "kind; a job's `error_code` is the cause, told in [Jobs](../concepts/jobs.md).",
        "",
        "| code | kind | status | raised by |",
        "|---|---|---|---|",
        "| `insufficient_credits` | InsufficientCredits | 402 | functions |",
    ]
    for (code, name), where in sorted(rooms.items()):
        status = getattr(getattr(errors, name), "status", "")
        lines.append(f"| `{code}` | {name} | {status} | {', '.join(sorted(where))} |")
    return "\n".join([*lines, ""])


def supabase() -> str:
    """Return the page of what is supported of Supabase's wire, row by row."""
    lines = [
        "# What is supported of Supabase",
        "",
        "Each row is asked of a running server by `tests/system/test_supported.py`. **Supported**",
        "answers as Supabase does, refusals included. **Not enabled** is refused with a code that",
        "Supabase's clients know, as where it is switched off there. **Not yet** is not here.",
        "**Unknown** is how all else is refused.",
        "",
        "How to point an app here: [supabase-js](../guides/supabase-js.md),",
        "[supabase_flutter](../guides/supabase-flutter.md), and an",
        "[existing project's database](../guides/existing-supabase-database.md).",
        "",
    ]
    for area, rows in supported.rows().items():
        lines += [
            f"## {supported.AREAS[area]}",
            "",
            "| what | on the wire | state | answer | note |",
            "|---|---|---|---|---|",
        ]
        lines += [
            f"| {row.feature} | `{row.on}` | {row.state} | {row.answer} | {row.note} |"
            for row in rows
        ]
        lines.append("")
    return "\n".join(lines)


PAGES = {"configuration.md": configuration, "errors.md": error_codes, "supabase.md": supabase}


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file, render in PAGES.items():
        (FOLDER / file).write_text(render())
