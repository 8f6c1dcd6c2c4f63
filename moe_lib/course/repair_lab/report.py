"""Look at the reader's model from outside, and say which symptoms are left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from torch import Tensor, nn

from moe_lib.course import progress_file
from moe_lib.course.checking import PASSES, Verdict
from moe_lib.course.checking.calling import Outcome, attempt
from moe_lib.course.checking.page import box
from moe_lib.course.checking.readers_line import readers_line
from moe_lib.course.repair_lab.checks import evaluating, images
from moe_lib.course.repair_lab.symptoms import SYMPTOMS, Symptom

#: Longest that one check may take.
SECONDS = 5.0
SIGNS = {True: "✓", False: "✗", None: "?"}
HELP = "repair_hint(n) says what to look for, repair_solution(n) which lines change."


class Unfit(Exception):
    """The model is not what the checks can look at; the text says what to do."""


@dataclass(frozen=True)
class Finding:
    """gone: whether the symptom is; None where that could not be found out."""

    symptom: Symptom
    gone: bool | None
    measured: str


@dataclass(frozen=True, repr=False)
class RepairReport:
    """What `check_repair` found. trouble: why nothing could be measured, mostly "".

    The plain text has no measured numbers: it is the same on every machine.
    """

    findings: tuple[Finding, ...]
    trouble: str = ""
    note: str = ""

    @property
    def gone(self) -> frozenset[int]:
        """The numbers of the symptoms that are gone."""
        return frozenset(f.symptom.number for f in self.findings if f.gone)

    def __repr__(self) -> str:
        head = f"repair lab: {len(self.gone)} of {len(SYMPTOMS)} symptoms gone"
        rows = [f"  {SIGNS[f.gone]} {_title(f)}" for f in self.findings]
        if self.trouble:
            rows = [f"  nothing could be measured: {self.trouble}"]
        return "\n".join([head, *rows, *filter(None, [self.note])])

    def _repr_html_(self) -> str:
        done = len(self.gone) == len(SYMPTOMS)
        sign = SIGNS[done]
        badge = f"{sign} {len(self.gone)} of {len(SYMPTOMS)} symptoms gone"
        parts = [f'<p><span class="state">{badge}</span><b>Repair lab</b></p>']
        if self.trouble:
            parts.append(f"<p>Nothing could be measured: {escape(self.trouble)}.</p>")
        parts += [_row(finding) for finding in self.findings]
        for text in ("" if done else HELP, self.note):
            parts.append(f"<p><small>{escape(text)}</small></p>" if text else "")
        return box("passes" if done else "fails", parts)


def check_repair(
    model_class: type[nn.Module], balance_loss: Callable, *, seconds: float = SECONDS
) -> RepairReport:
    """Try all symptoms on the reader's classifier, each on a new copy of it.

    Nothing that the reader wrote gets through as an error; what is gone is kept in the
    progress file. A check may take ``seconds``.

    Args:
        model_class: called without arguments; has ``gate`` and ``experts``, and its
            call maps ``[T, 64]`` to the logits ``[T, 10]`` and the importance ``[E]``.
        balance_loss: maps the importance to a 0-d tensor.
    """
    pair = (model_class, balance_loss)
    first = attempt(probe, (model_class,), seconds)
    if first.error:
        return RepairReport((), _problem(first, pair, seconds))
    findings = tuple(_find(symptom, pair, seconds) for symptom in SYMPTOMS)
    notes = [
        progress_file.record(Verdict(f.symptom.id, PASSES, f.symptom.title))
        for f in findings
        if f.gone
    ]
    return RepairReport(findings, note=" ".join(filter(None, notes)))


def probe(model_class: type[nn.Module]) -> None:
    """Build and run the model once; `Unfit` if the checks could not look at it."""
    if not (isinstance(model_class, type) and issubclass(model_class, nn.Module)):
        raise Unfit("give the class itself, check_repair(DigitMoE, balance_loss)")
    model = evaluating(model_class)
    if not isinstance(getattr(model, "gate", None), nn.Module):
        raise Unfit("the model has no module gate: keep the name self.gate")
    if not isinstance(getattr(model, "experts", None), nn.ModuleList):
        raise Unfit("the model has no ModuleList experts: keep self.experts one")
    x = images(20)
    logits, importance = _two_tensors(model(x), "the model", "logits and importance")
    weights, index = _two_tensors(model.gate(x), "the gate", "weights and index")
    if logits.shape != (20, 10):
        raise Unfit(f"for 20 images the logits are {list(logits.shape)}: make [20, 10]")
    if importance.ndim != 1:
        shape = list(importance.shape)
        raise Unfit(f"the importance is {shape}: one dimension, one for each expert")
    for name, value in (("weights", weights), ("index", index)):
        if value.shape != (20, 2):
            shape = list(value.shape)
            raise Unfit(f"for 20 images the gate's {name} is {shape}: make [20, 2]")
    if not logits.isfinite().all():
        raise Unfit("some logits are NaN or infinite: look for a division by zero")
    logits.square().sum().backward()
    for name in ("gate", "experts"):
        grads = [p.grad for p in getattr(model, name).parameters()]
        if not any(grad is not None and grad.any() for grad in grads):
            raise Unfit(f"no gradient reaches the {name}: what cuts it off?")


def _two_tensors(value: object, who: str, what: str) -> tuple[Tensor, Tensor]:
    if isinstance(value, tuple | list) and len(value) == 2:
        if all(isinstance(part, Tensor) for part in value):
            return value[0], value[1]
    raise Unfit(f"{who} gives a {type(value).__name__}: return two tensors, {what}")


def _find(symptom: Symptom, pair: tuple, seconds: float) -> Finding:
    got = attempt(symptom.check, pair, seconds)
    if got.error:
        return Finding(symptom, None, _problem(got, pair, seconds))
    return Finding(symptom, *got.value)


def _problem(got: Outcome, pair: tuple, seconds: float) -> str:
    """What went wrong in one clause, with the reader's line where it has one."""
    if isinstance(got.error, Unfit):
        return str(got.error)
    text = got.problem(seconds)
    for mine in (getattr(pair[0], "forward", None), pair[1]):
        line = readers_line(got.error, mine) if callable(mine) else None
        if line:
            return f"{text} ({line.place}: {line.text})"
    return text


def _title(finding: Finding) -> str:
    return f"{finding.symptom.number}  {finding.symptom.title}"


def _row(finding: Finding) -> str:
    """Sign and title; what was measured; for who has the symptom, the nudge."""
    sign, title = SIGNS[finding.gone], escape(_title(finding))
    head = f"{sign} {title}" if finding.gone else f"<b>{sign} {title}</b>"
    nudge = f" <i>{escape(finding.symptom.nudge)}</i>" if finding.gone is False else ""
    measured = escape(finding.measured[0].upper() + finding.measured[1:])
    return f"<p>{head}<br><small>{measured}.{nudge}</small></p>"
