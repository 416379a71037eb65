"""What an edit would change, without saving anything: whom it would gain and lose."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from agents.label_conditions import selector_condition
from agents.models import HEADLINE, Agent
from agents.reports import AgentCapabilities
from agents.selectors import Entry, Selector, SelectorIndex, parse_selector
from configurations.checks import Finding, FindingKind, Severity
from configurations.missing_components import missing_components
from configurations.models import RELEASE_SUBJECT, Configuration, Pin, agents_running, files_from_json, pinned_elsewhere
from configurations.services.collisions import refuse_collisions
from configurations.services.drafts import Draft, checked
from configurations.services.publishing import ReleasePlan
from configurations.services.reach_warnings import reach_warnings
from configurations.services.rendering import Renderer
from configurations.together import findings_together
from foundation.messages import Message
from rollouts.policies import Policy
from rollouts.progress import PlannedStage, planned_stages
from rollouts.services.rolling_out import salt_of
from variables.templating import RenderingFailure, TemplateProblem

SAMPLE = 20
_DRAFT = "draft"
_MOST_TIES = 5


@dataclass(frozen=True, slots=True)
class PreviewAgent:
    """One agent of the sample."""

    instance_uid: str
    name: str
    hostname: str
    connected: bool


@dataclass(frozen=True, slots=True)
class Rival:
    """Another configuration that matches agents of this one's: ``agents`` go to the one that ``wins``.

    ``by_name``: both have the same priority, so that the name decides.
    """

    name: str
    priority: int
    agents: int
    wins: bool
    by_name: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """``agents`` that run configuration ``name`` now, ``""`` for none, and would be taken from it."""

    name: str
    agents: int


@dataclass(frozen=True, slots=True)
class Preview:
    """Counts of agents: ``matched`` by the selector, of which the draft would win ``assigned``.

    ``gained`` do not run this configuration now, ``lost`` would no longer. ``offline`` and ``incapable`` are among the
    assigned. ``unproven`` agents would be matched by what they say of themselves, under keys for which only an operator's
    label counts. ``sample`` are some of the assigned and ``newcomers`` some of the gained, of whom ``taken`` says what they
    run now. ``rivals`` match some of the same agents, those that win most of them first. ``findings`` of the texts come
    before those about whom it reaches. ``warnings`` are to be confirmed by a person (`reach_warnings`). ``stages``: of the
    rollout that would start, as far as that was asked.
    """

    matched: int
    assigned: int
    gained: int
    lost: int
    offline: int
    incapable: int
    unproven: int
    sample: list[PreviewAgent]
    newcomers: list[PreviewAgent]
    taken: list[Taken]
    rivals: list[Rival]
    findings: list[Finding]
    warnings: list[Finding]
    stages: list[PlannedStage] = dataclasses.field(default_factory=list)

    @property
    def told(self) -> list[Finding]:
        """All findings, with what is to be confirmed."""
        return [*self.findings, *self.warnings]

    def changing(self, *, new_files: bool) -> int:
        """Agents for whom something changes; with new files also those that run this configuration already."""
        return self.lost + (self.assigned if new_files else self.gained)

    def getting(self, *, new_files: bool) -> tuple[int, list[PreviewAgent]]:
        """How many get something else, and some of them; those that lose it are others."""
        return (self.assigned, self.sample) if new_files else (self.gained, self.newcomers)


def preview(
    draft: Draft,
    *,
    name: str | None,
    present: Draft | None = None,
    force: bool = False,
    plan: ReleasePlan | None = None,
) -> Preview:
    """What publishing ``draft`` as ``name`` (``None``: a new configuration) would do; ``present`` and ``force`` as in `checked`.

    With a ``plan`` and a name its stages are said too.
    Raises `InvalidConfiguration` for what could not be saved.
    """
    judged = checked(draft, present=present, force=force)
    refuse_collisions(name or "", draft)
    found = reach(draft, name=name)
    policy = None if plan is None else plan.policy_for(Configuration(rollout_policy=draft.rollout_policy))
    stages = [] if policy is None or name is None else stages_of_draft(draft, policy, name=name)
    example = found.sample[0].instance_uid if found.sample else None
    together = findings_together(draft, judged.config.files, name=name, instance_uid=example)
    findings = [*judged.findings, *_lacking(draft), *together, *found.findings]
    return dataclasses.replace(found, findings=findings, stages=stages)


def _lacking(draft: Draft) -> list[Finding]:
    """Components that agents the draft reaches do not have; ``files`` may hide values, but no types."""
    if not draft.enabled:
        return []
    selector = parse_selector(draft.selector, match_all=draft.match_all)
    return missing_components(draft.files, Agent.objects.filter(selector_condition(selector)))


def reach(draft: Draft, *, name: str | None) -> Preview:
    """The agents concerned alone, whatever the files say. Raises `InvalidSelector`."""
    selector = parse_selector(draft.selector, match_all=draft.match_all)
    own = Entry(_DRAFT, name or "", draft.priority, selector)
    beside = _beside(draft, name)
    entries, followers = beside.entries, beside.followers
    others = SelectorIndex.build(entries.values())
    matched = assigned = gained = offline = incapable = kept = 0
    sample: list[PreviewAgent] = []
    newcomers: list[PreviewAgent] = []
    former: Counter[str] = Counter()
    contested: Counter[tuple[Hashable, bool]] = Counter()
    columns = ("instance_uid", "name", "hostname", "connected", "capabilities", "labels", "configuration_name")
    condition = selector_condition(selector)
    if followers:
        condition |= Q(instance_uid__in=followers)
    reached = Agent.objects.filter(condition).exclude(beside.elsewhere)
    candidates = reached.in_order("name").values_list(*columns)
    for uid, agent_name, hostname, connected, capabilities, labels, present in candidates.iterator(chunk_size=2_000):
        matched += 1
        rival = None if uid in followers else others.winner(labels)
        wins = draft.enabled and (rival is None or not _is_stronger(rival, own))
        if rival is not None:
            contested[rival.key, not wins] += 1
        if not wins:
            continue
        assigned += 1
        new = not beside.has(uid, present, name)
        kept += not new
        gained += new
        offline += not connected
        incapable += not capabilities & AgentCapabilities.ACCEPTS_REMOTE_CONFIG
        if new and beside.holders is None:
            former[present] += 1
        for some in (sample, newcomers) if new else (sample,):
            if len(some) < SAMPLE:
                some.append(PreviewAgent(str(uid), agent_name, hostname, connected))
    rivals = [
        Rival(entries[key].name, entries[key].priority, number, wins, entries[key].priority == draft.priority)
        for (key, wins), number in contested.most_common()
    ]
    rivals.sort(key=lambda rival: not rival.wins)
    taken = [Taken(runs, number) for runs, number in former.most_common()]
    unproven = _unproven(selector)
    findings = _targeting_findings(matched, assigned, rivals) if draft.enabled else []
    present = Configuration.objects.filter(name=name).first() if name else None
    return Preview(
        matched=matched,
        assigned=assigned,
        gained=gained,
        lost=beside.held - kept,
        offline=offline,
        incapable=incapable,
        unproven=unproven,
        sample=sample,
        newcomers=newcomers,
        taken=taken,
        rivals=rivals,
        findings=findings,
        warnings=reach_warnings(draft, present),
    )


@dataclass(frozen=True, slots=True)
class _Beside:
    """What a draft meets: ``entries`` that compete with it, agents that follow it or are pinned ``elsewhere``.

    ``held``: how many run it now, of a fragment the ``holders``. Nothing competes with a fragment, and no pin is to one.
    """

    entries: dict[Hashable, Entry]
    followers: set[UUID]
    elsewhere: Q
    held: int
    holders: set[UUID] | None = None

    def has(self, uid: UUID, present: str, name: str | None) -> bool:
        """Whether an agent that runs ``present`` has it."""
        return uid in self.holders if self.holders is not None else bool(name) and present == name


def _beside(draft: Draft, name: str | None) -> _Beside:
    if draft.kind == Configuration.Kind.FRAGMENT:
        row = Configuration.objects.fragments().filter(name=name or "").first()
        agents = Agent.objects.none() if row is None else Agent.objects.filter(agents_running(row))
        holders = set(agents.values_list("instance_uid", flat=True))
        return _Beside({}, set(), Q(pk__in=[]), len(holders), holders)
    entries: dict[Hashable, Entry] = {
        row.pk: Entry(row.pk, row.name, row.priority, row.parsed_selector())
        for row in Configuration.objects.enabled().wholes().exclude(name=name or "")
    }
    following = Agent.objects.filter(pin__in=Pin.objects.following(name or ""))
    elsewhere = pinned_elsewhere(name or "")
    held = Agent.objects.filter(configuration_name=name).exclude(elsewhere).count() if name else 0
    return _Beside(entries, set(following.values_list("instance_uid", flat=True)), elsewhere, held)


def stages_of_draft(draft: Draft, policy: Policy, *, name: str) -> list[PlannedStage]:
    """The stages of a rollout of ``draft`` as ``name``: of the agents it matches, and of those that run the configuration now."""
    row = Configuration.objects.filter(name=name).first()
    condition = Q(pk__in=[]) if row is None else agents_running(row)
    if draft.enabled:
        condition |= selector_condition(parse_selector(draft.selector, match_all=draft.match_all))
    found = Agent.objects.filter(condition).exclude(pinned_elsewhere(name))
    agents = list(found.in_order("name").values_list("instance_uid", "labels", HEADLINE))
    fails = None
    if any(file.template for file in draft.files.values()):
        renderer = Renderer()

        def fails(labels: Mapping[str, str]) -> bool:
            return _has_no_result(draft, renderer, labels)

    return planned_stages(policy, salt_of(RELEASE_SUBJECT, name), agents, fails=fails)


def _has_no_result(draft: Draft, renderer: Renderer, labels: Mapping[str, str]) -> bool:
    """Whether an agent with these labels that gets the draft would have nothing to run of it."""
    if not parse_selector(draft.selector, match_all=draft.match_all).matches(labels):
        return False
    try:
        renderer.render_files(draft.files, labels)
    except RenderingFailure:
        return True
    except TemplateProblem:
        # It cannot be published at all, which is said elsewhere.
        return False
    return False


def _unproven(selector: Selector) -> int:
    """Agents that say of themselves what ``selector`` asks for, where their word does not count."""
    keys = {requirement.key for requirement in selector.requirements} & set(settings.OPAMP_TRUSTED_LABEL_KEYS)
    if not keys:
        return 0
    says_so = Agent.objects.filter(asserted_labels__has_any_keys=sorted(keys)).order_by()
    rows = says_so.values_list("labels", "asserted_labels", "operator_labels")
    return sum(
        not selector.matches(labels) and selector.matches({**labels, **asserted, **operator_labels})
        for labels, asserted, operator_labels in rows.iterator(chunk_size=2_000)
    )


def targeting_findings(row: Configuration) -> list[Finding]:
    """What is to be told of whom a configuration reaches as it is."""
    files = files_from_json(row.current.files) if row.current else {}
    draft = Draft(
        kind=row.kind,
        selector=row.selector,
        match_all=row.match_all,
        priority=row.priority,
        enabled=row.enabled,
        files=files,
    )
    return [*_lacking(draft), *reach(draft, name=row.name).findings]


def _is_stronger(one: Entry, other: Entry) -> bool:
    """As `SelectorIndex` has it: the priority decides, then the name."""
    return (-one.priority, one.name) < (-other.priority, other.name)


def _targeting_findings(matched: int, assigned: int, rivals: Sequence[Rival]) -> list[Finding]:
    """What hardly anybody means: nobody is reached, all is lost to others, or only a name decides."""
    if not matched:
        return [
            _about(
                "selector",
                Message("no-agent-matches", "No agent that is known now matches the selector; nobody gets it yet."),
            )
        ]
    findings = []
    stronger = [rival for rival in rivals if rival.wins]
    if not assigned:
        message = Message(
            "all-agents-taken",
            "No agent gets it: {count} match, and for all of them another configuration is stronger ({names}).",
            count=matched,
            names=_names(stronger),
        )
        findings.append(_about("priority", message))
    for rival in [item for item in rivals if item.by_name][:_MOST_TIES]:
        said = (
            Message(
                "same-priority-loses",
                "{name} has the same priority and wins {count} agents by its name.",
                name=rival.name,
                count=rival.agents,
            )
            if rival.wins
            else Message(
                "same-priority-wins",
                "{name} has the same priority and matches {count} of the same agents; only the name decides that this one "
                "wins.",
                name=rival.name,
                count=rival.agents,
            )
        )
        findings.append(_about("priority", said))
    return findings


def _names(rivals: Sequence[Rival]) -> str:
    listed = ", ".join(rival.name for rival in rivals[:_MOST_TIES])
    return f"{listed}, …" if len(rivals) > _MOST_TIES else listed


def _about(field: str, message: Message) -> Finding:
    return Finding(Severity.WARNING, FindingKind.TARGETING, message, 0, 0, field)


def successors(name: str) -> Counter[str]:
    """What the agents of configuration ``name``, a whole, would get without it: names with counts, ``""`` for nothing.

    Who is pinned to one of its revisions keeps that.
    """
    index = SelectorIndex.build(
        Entry(row.name, row.name, row.priority, row.parsed_selector())
        for row in Configuration.objects.enabled().wholes().exclude(name=name)
    )
    found: Counter[str] = Counter()
    held = (
        Agent.objects.filter(configuration_name=name)
        .exclude(pinned_elsewhere(name))
        .order_by()
        .values_list("labels", flat=True)
    )
    for labels in held.iterator(chunk_size=2_000):
        winner = index.winner(labels)
        found[winner.name if winner else ""] += 1
    return found
