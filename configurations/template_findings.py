"""What is wrong with templates, and what the other checks may read in their place; passwords in clear text. Reads no rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agents import redaction
from agents.remote_config import ConfigFile
from configurations.checks.findings import START, Finding, FindingKind, Place, Severity, path_of
from configurations.checks.leaves import leaves_of
from foundation.messages import Message
from variables.services.known_values import Values
from variables.template_language import Uses
from variables.templating import RenderingFailure, Scope, Template, TemplateProblem

# Stands for labels, and for variables without a value; some templates want a number.
_SAMPLES = ("sample", "1")
# Reads as a reference, so that it counts neither as a password nor as a wrong word.
_SECRET = "${env:SECRET_OF_THE_SAMPLE:-sample}"  # noqa: S105  what it says
_MOST_PROPOSED = 20


@dataclass(frozen=True, slots=True)
class Tried:
    """``texts`` are samples of what agents get, by config key; a file without one cannot be tried."""

    texts: Mapping[str, str]
    findings: list[Finding]


def try_templates(files: Mapping[str, ConfigFile], values: Values) -> Tried:
    """Every template of ``files`` read, and rendered for an agent that nobody has."""
    texts: dict[str, str] = {}
    findings: list[Finding] = []
    for key, file in files.items():
        if not file.template:
            continue
        if file.text is None:
            findings.append(_error(key, 1, Message("template-no-utf8", "A template is text in UTF-8.")))
            continue
        try:
            template = Template(file.text)
        except TemplateProblem as problem:
            findings.append(_error(key, problem.line, problem.message))
            continue
        findings += _of_names(key, template.uses, values)
        findings += [_unquoted(key, line) for line in template.unquoted]
        sample = _sample(template, values)
        if isinstance(sample, RenderingFailure):
            findings.append(_warning(key, sample.line, sample.message))
        else:
            texts[key] = sample
    return Tried(texts, findings)


def propose_secrets(texts: Mapping[str, str]) -> Iterator[Finding]:
    """A warning for each password in clear text, by config key; a few of each file."""
    for key, text in texts.items():
        hidden = {path[1:] for path, value in redaction.hidden_values(text).items() if _SECRET not in value}
        if not hidden:
            continue
        places = {leaf.path: leaf.place for leaf in leaves_of(text) or ()}
        for path in sorted(hidden, key=lambda path: places.get(tuple(path), START))[:_MOST_PROPOSED]:
            place = places.get(tuple(path), START)
            message = Message(
                "password-in-clear-text",
                "A password or key stands here in clear text: store it as a secret, make the file a template, and write {example}.",
                example="{{ secrets.name | yaml }}",
            )
            yield _warning(key, place.line, message, column=place.column, path=path_of(tuple(path)))


def _of_names(key: str, uses: Uses, values: Values) -> Iterator[Finding]:
    """Names that nothing has a value for."""
    for group, names, known in (("vars", uses.variables, values.variables), ("secrets", uses.secrets, values.secrets)):
        for name in sorted(names - set(known)):
            use = f"{group}.{name}"
            if use not in uses.optional:
                said = Message("no-such-value", "There is no {name}: make it first, or give it a default.", name=use)
                yield _error(key, 1, said)


def _sample(template: Template, values: Values) -> str | RenderingFailure:
    uses = template.uses
    failure = RenderingFailure(Message("template-untried", "The template cannot be tried."))
    for word in _SAMPLES:
        variables = {name: _first(values, name, word) for name in uses.variables}
        scope = Scope(dict.fromkeys(uses.labels, word), variables, dict.fromkeys(uses.secrets, _SECRET))
        try:
            return template.render(scope)
        except RenderingFailure as error:
            failure = error
    return failure


def _first(values: Values, name: str, word: str) -> str:
    choices = values.variables.get(name)
    return choices[0].value if choices else word


def _unquoted(key: str, line: int) -> Finding:
    said = Message(
        "label-unquoted",
        "A label stands here without quotes: agents whose value has signs that could change the file get an error. Write it "
        "with | yaml or | json.",
    )
    return _warning(key, line, said)


def _error(key: str, line: int, message: Message) -> Finding:
    place = Place(max(line, 1), 1)
    return Finding(Severity.ERROR, FindingKind.TEMPLATE, message, place.line, place.column, file=key)


def _warning(key: str, line: int, message: Message, *, column: int = 1, path: str = "") -> Finding:
    return Finding(Severity.WARNING, FindingKind.TEMPLATE, message, max(line, 1), column, path, file=key)
