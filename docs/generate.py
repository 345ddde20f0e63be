"""Write what is made from the code: docs/cli.md, docs/stages.md, two tables of docs/fetching.md; and docs/claims.md.

Run by `make docs`; a test compares.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import inspect
import itertools
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuwen.cli import VERBS, make_parser
from tuwen.fetching.outcomes import OUTCOMES
from tuwen.fetching.settings import Fetch, Reencode
from tuwen.parts import load_class, names_in
from tuwen.proof.claim import Claim
from tuwen.proof.record import Record, records
from tuwen.stages import kind_of, option

HERE = Path(__file__).parent
NOTICE = "<!-- Made by `make docs` from the code. Change the code, not this page. -->\n"


def cli_page() -> str:
    """Every verb with its options, as argparse prints them."""
    os.environ["COLUMNS"] = "100"
    os.environ["NO_COLOR"] = "1"
    parser = make_parser(list(VERBS))
    commands: Any = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    parts = [NOTICE, "# Command line\n", _block(parser.format_help())]
    parts += [_verb(name, commands.choices[name]) for name in VERBS]
    return "\n".join(parts)


def _verb(name: str, parser: argparse.ArgumentParser) -> str:
    """A verb, and below it those of its own."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    below = [_verb(f"{name} {word}", each) for action in inner for word, each in action.choices.items()]
    return "\n".join([f"## tuwen {name}\n\n{_block(parser.format_help())}", *below])


def stages_page() -> str:
    """Every shipped part of a recipe: stages with tables and columns, sources, selection steps, writers."""
    parts = [NOTICE, "# Parts of a recipe\n", "What a recipe may name, by kind.\n", "## Stages\n"]
    parts += [_stage(name) for name in names_in("tuwen.stages")]
    for title, package in (
        ("Sources", "tuwen.sources"),
        ("Selection steps", "tuwen.selections.steps"),
        ("Release writers", "tuwen.releases.writers"),
    ):
        parts.append(f"## {title}\n")
        parts += [_part(package, name) for name in names_in(package)]
    return "\n".join(parts)


def fetching_page() -> str:
    """docs/fetching.md with its tables of classes and settings made anew."""
    page = (HERE / "fetching.md").read_text(encoding="utf-8")
    for name, table in (("outcomes", _outcomes()), ("settings", _settings())):
        before, begin, after = re.split(rf"(<!-- {name}: .*-->\n)", page)
        page = before + begin + table + after[after.index("<!-- end -->") :]
    return page


def _outcomes() -> str:
    kinds = list(dict.fromkeys(outcome.family for outcome in OUTCOMES.values()))
    rows = ["| class | kind | passing | meaning |", "|---|---|---|---|"]
    for name, outcome in sorted(OUTCOMES.items(), key=lambda item: kinds.index(item[1].family)):
        passing = "yes" if outcome.transient else ""
        rows.append(f"| `{name}` | {outcome.family} | {passing} | {outcome.meaning} |")
    return "\n".join([*rows, ""])


def _settings() -> str:
    rows = ["| setting | default | what |", "|---|---|---|"]
    for prefix, cls in (("", Fetch), ("reencode.", Reencode)):
        told = _field_docs(cls)
        for field in dataclasses.fields(cls):
            default = "required" if field.default is dataclasses.MISSING else f"`{_default(field)}`"
            rows.append(f"| `{prefix}{field.name}` | {default} | {told.get(field.name, '')} |")
    return "\n".join([*rows, ""])


def _field_docs(cls: type) -> dict[str, str]:
    """The string below each field of a dataclass."""
    (body,) = (node.body for node in ast.parse(inspect.getsource(cls)).body if isinstance(node, ast.ClassDef))
    found = {}
    for field, below in itertools.pairwise(body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
    return found


def _stage(name: str) -> str:
    cls: Any = load_class("tuwen.stages", name)
    surveys = option(cls, "surveys", ())
    if isinstance(surveys, property):  # they depend on the parameters
        surveys = ()
    read = ", ".join(f"`{name}`" for name in [*cls.reads, *(f"{survey} (whole corpus)" for survey in surveys)])
    columns = "\n".join(f"| `{field.name}` | {field.type} |" for field in cls.writes)
    return (
        f"### {name}\n\n{_doc(cls)}\n\nTable `{cls.table}`, {kind_of(cls)}. Reads {read}.\n\n"
        f"| writes | type |\n|---|---|\n{columns}\n\n{_parameters(cls)}"
    )


def _part(package: str, name: str) -> str:
    cls = load_class(package, name)
    return f"### {name}\n\n{_doc(cls)}\n\n{_parameters(cls)}"


def _doc(cls: type) -> str:
    return inspect.cleandoc(cls.__doc__ or "")


def _parameters(cls: Any) -> str:
    rows = []
    for field in dataclasses.fields(cls):
        if field.init:
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            default = "required" if required else f"`{_default(field)}`"
            rows.append(f"| `{field.name}` | `{_type_name(field.type)}` | {default} |")
    return "| parameter | type | default |\n|---|---|---|\n" + "\n".join(rows) + "\n" if rows else "No parameters.\n"


def _type_name(annotation: object) -> str:
    return str(getattr(annotation, "__name__", annotation)).replace("|", "\\|")


def _default(field: dataclasses.Field[Any]) -> str:
    value = field.default if field.default is not dataclasses.MISSING else field.default_factory()  # type: ignore[misc]
    return repr(value).replace("|", "\\|")


def _block(text: str) -> str:
    return f"```\n{text.rstrip()}\n```\n"


def claims_page() -> str:
    """What every registered claim came to, from claims/ and claims/results/."""
    told = records(HERE.parent / "claims")
    parts = [NOTICE, "# Claims\n", CLAIMS]
    parts += ["| system | E | D | R | S | shown | run | claim |", "|---|---|---|---|---|---|---|---|"]
    real = {each.claim.system: each for each in told if each.claim.mark == "real"}
    for each in told:
        if each.claim.mark != "direction":
            continue
        on_real = real[each.claim.system].direction if each.claim.system in real else "not run"
        if each.claim.no_real_data:
            on_real = "no suitable data"
        shown = "yes" if each.shown else "no"
        link = f"[{each.path.stem}](../claims/{each.path.name})"
        cells = [each.claim.system, each.exact, each.direction, on_real, each.scale, shown, each.day, link]
        parts.append(f"| {' | '.join(cells)} |")
    return "\n".join([*parts, "", *(_claim(each) for each in told)])


CLAIMS = """What the systems that tuwen covers came to, each by its small check. **E**: new parts equal the authors'
code, a case worked by hand, or a description alone, on fixed tensors, to 1e-5. **D**: the verdict of the registered
claim in a drawn world; *supported* needs all comparisons, and those with an ablation beat it too. **R**: the verdict
of a claim on real pairs, or that there are none to show it with, for the reason below. **S**: the signs at four times
the budget, with the first five seeds, ablations included. **shown**: the claim was answered, either way, by a run that
could: E holds, and D is supported against an ablation, or refuted or no effect by a run that could have found what
matters. *yes* does not say that the system is better. **run**: the day of D's record. The code may have changed since:
`tuwen prove claims/NAME.yaml --dry-run` says whether a record was made by the code as it is now, and `make prove` runs
all claims again. How verdicts are reached: [proof.md](proof.md).
"""


def _claim(each: Record) -> str:
    """One claim: its statement, its comparisons, and how to run it."""
    claim = each.claim
    title = claim.system or claim.name
    if claim.mark == "real":
        title += ", real pairs"
    lines = [f"## {title}: {each.direction}\n", f"{claim.statement}\n"]
    if claim.source:
        lines.append(f"Source: <{claim.source}>\n")
    if claim.notes:
        lines.append(f"{claim.notes.strip()}\n")
    if claim.no_real_data:
        lines.append(f"No suitable real pairs: {claim.no_real_data.strip()}\n")
    if each.found is not None:
        lines += _table(each.found, claim)
        seconds = sum(arm["cpu_s"] for arm in each.found["arms"]) * len(claim.seeds)
        spent = f"{len(claim.arms)} arms, {len(claim.seeds)} seeds, {seconds:,.0f} CPU seconds of training"
        lines.append(f"\n{spent}. Run: {each.day}.")
        if each.scaled is not None:
            lines.append(f"\nAt four times the budget, with the first five seeds, {each.scaled['verdict']['word']}:\n")
            lines += _table(each.scaled, claim)
            lines.append("")
    lines.append(f"`tuwen prove claims/{each.path.name}`\n")
    return "\n".join(lines)


def _table(found: Mapping[str, Any], claim: Claim) -> list[str]:
    head = ["| arm | against | measure | difference | interval | would matter | could find | |", "|" + "---|" * 8]
    return head + [_compared(told, one) for told, one in zip(found["comparisons"], claim.comparisons, strict=True)]


def _compared(told: Any, one: Any) -> str:
    def number(value: float | None) -> str:
        return "–" if value is None else f"{value:+.3f}"

    least = "–" if told["detectable"] is None else f"{told['detectable']:.3f}"
    row = f"| {told['arm']} | {told['against']} | {told['evaluation']} | {number(told['mean'])} "
    row += f"| {number(told['low'])} to {number(told['high'])} | {one.smallest_effect:g} | {least} | {told['word']} |"
    if (ablated := told["ablation"]) is not None:
        row += f"\n| {told['arm']} | {one.ablation}, its ablation | {told['evaluation']} | {number(ablated['mean'])} "
        row += f"| {number(ablated['low'])} to {number(ablated['high'])} | | | |"
    return row


PAGES = {"cli.md": cli_page, "stages.md": stages_page, "fetching.md": fetching_page, "claims.md": claims_page}

if __name__ == "__main__":
    for page, make in PAGES.items():
        (HERE / page).write_text(make(), encoding="utf-8")
        print(f"docs/{page}")
