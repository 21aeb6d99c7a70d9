"""Pull requests that bring repositories to a new version of their archetype, and what became of their checks."""

import yaml

from activities._activity import look
from shared import archetypes, shields
from shared.clients import github, github_issues
from shared.clients.github_evidence import list_check_runs
from shared.clock import utc_now
from shared.errors import AppStoreError, ConflictError, RequestRejectedError, TransientIntegrationError
from shared.guard import Action
from shared.log import redact
from shared.models.campaigns import (
    CampaignMember,
    CampaignRecord,
    CampaignState,
    CampaignWave,
    MemberState,
    WaveProgress,
)
from shared.models.records import ApplicationRecord, RequestRecord
from shared.register import applications, campaigns, controls, requests, steps
from shared.register.audit import Entry
from shared.skeletons import answers
from shared.template_merge import blob_id, both_changed, merge

_M = MemberState
BATCH = 5
ANSWERS = ".copier-answers.yml"
RULE = "update-template"
LABEL, CONFLICT_LABEL = "template-update", "template-conflict"
_GOOD = frozenset({"success", "neutral", "skipped"})


@look
async def open_template_updates(data: CampaignWave) -> WaveProgress:
    """Open the pull requests of some applications of a wave; one that fails does not keep the others from theirs.

    Idempotency: the branch is named by the version; commits are dated by the campaign, and remembered before the branch
    is made. A branch or a pull request that is there is kept.

    Raises:
        TransientIntegrationError: some did not get through; a repeat tries only those.
    """
    campaign = await campaigns.get(data.run.request_id)
    waiting = [member for member in await campaigns.members(campaign.id, data.wave) if member.state is _M.PLANNED]
    transient: TransientIntegrationError | None = None
    done = 0
    for member in waiting[:BATCH]:
        if not await _goes_on(data):
            return WaveProgress(left=0)
        try:
            await campaigns.write_member(await _opened(campaign, member))
        except TransientIntegrationError as error:
            transient = error
        else:
            done += 1
    if transient is not None:
        raise transient
    return WaveProgress(left=len(waiting) - done, detail=f"{done} applications")


async def _goes_on(data: CampaignWave) -> bool:
    campaign = await campaigns.get(data.run.request_id)
    return campaign.state is CampaignState.RUNNING and campaign.attempt == data.run.attempt


async def _opened(campaign: CampaignRecord, member: CampaignMember) -> CampaignMember:
    """The application after its turn.

    Raises:
        RequestRejectedError: the kill switch is on.
    """
    name = member.application
    action = Action(RULE, "pull request", name, name, destructive=False)
    try:
        await shields.allow(action, application=name, owned_by=name)
        return await _proposed(campaign, member)
    except TransientIntegrationError:
        raise
    except RequestRejectedError as error:
        if error.code == "guard-refused" and (await controls.read_controls()).kill_switch.on:
            raise  # that is no word about this application: the campaign stops, and can be resumed
        state = _M.SKIPPED if error.code == "guard-refused" else _M.FAILED
        return member.model_copy(update={"state": state, "detail": str(error)[:500]})
    except (AppStoreError, ValueError, yaml.YAMLError) as error:
        return member.model_copy(update={"state": _M.FAILED, "detail": redact(str(error))[:500]})


async def _proposed(campaign: CampaignRecord, member: CampaignMember) -> CampaignMember:
    name, branch = member.application, f"appstore/update-{campaign.archetype}-{campaign.version}"
    if not member.commit:
        version = await _version(name, "main")
        if _number(version) >= _number(campaign.version):
            await _note_version(member, version)
            return member.model_copy(update={"state": _M.CURRENT, "from_version": version})
        member = await _merged(campaign, member.model_copy(update={"from_version": version}))
        await campaigns.write_member(member)  # a repeat goes on with this very commit
    member = await _branched(member, branch)
    await campaigns.note_rendering(member)
    pull = await github.find_pull(name, branch)
    if pull is None:
        title = f"Update from {campaign.archetype} {member.from_version} to {campaign.version}"
        text, draft = _text(campaign, member), bool(member.conflicts)
        pull = await github.create_pull(name, branch=branch, title=title, body=text, draft=draft)
    labels = [LABEL, CONFLICT_LABEL] if member.conflicts else [LABEL]
    await github_issues.add_labels(name, pull.number, labels)
    state = _M.CONFLICT if member.conflicts else _M.OPENED
    detail = f"{len(member.conflicts)} files need a person" if member.conflicts else ""
    update = {"state": state, "pull_number": pull.number, "pull_url": pull.html_url, "detail": detail}
    return member.model_copy(update=update)


async def _merged(campaign: CampaignRecord, member: CampaignMember) -> CampaignMember:
    """Make the two commits: the new version's skeleton alone, and ``main`` with it merged."""
    name = member.application
    record = await requests.get(name, member.request_id)
    base = await _base(record, member.from_version)
    main = await github.read_head(name, "main") or ""
    head, old = await github.read_commit(name, main), await github.read_commit(name, base)
    ours, before = await github.read_paths(name, head.tree.sha), await github.read_paths(name, old.tree.sha)
    if archetypes.skeleton_digest(campaign.archetype) != campaign.skeleton:
        detail = f"{campaign.archetype} changed since the campaign began: begin a new one."
        raise RequestRejectedError("archetype-changed", detail, status=409)
    # Not in a thread: copier changes the working directory of the whole process for a moment.
    skeleton = archetypes.render(campaign.archetype, answers(record))
    new = {path: text for path, (text, _) in skeleton.items()}
    theirs = {path: blob_id(text) for path, text in new.items()}
    texts = {
        path: (await _content(name, before.get(path)), await _content(name, ours.get(path)))
        for path in both_changed(before, ours, theirs)
    }
    names = (f"main of {name}", f"{campaign.archetype} {campaign.version}")
    merged = merge(before, ours, theirs, new=new, texts=texts, names=names)
    whole = [github.File(path, text, executable) for path, (text, executable) in skeleton.items()]
    changed = [github.File(path, text, skeleton[path][1]) for path, text in merged.files.items()]
    message, at = f"{campaign.archetype} {campaign.version}", campaign.created_at
    alone = await github.create_tree(name, whole)
    rendered = await github.create_commit(name, message=message, tree=alone, parents=[base], at=at)
    tree = await github.create_tree(name, changed, base=head.tree.sha, removed=tuple(merged.removed))
    message = f"Update from {campaign.archetype} {member.from_version} to {campaign.version}\n\nCampaign {campaign.id}"
    commit = await github.create_commit(name, message=message, tree=tree, parents=[main, rendered], at=at)
    update = {"base": base, "rendered": rendered, "commit": commit, "conflicts": merged.conflicts}
    return member.model_copy(update=update)


async def _branched(member: CampaignMember, branch: str) -> CampaignMember:
    """Point the branch to the commit; one that is there is somebody's work, or an earlier campaign's, and stays."""
    name = member.application
    try:
        await github.create_branch(name, branch, member.commit)
    except ConflictError:
        head = await github.read_head(name, branch) or member.commit
        parents = (await github.read_commit(name, head)).parents
        rendered = parents[1].sha if len(parents) == 2 else member.rendered  # noqa: PLR2004 - main and the skeleton
        return member.model_copy(update={"commit": head, "rendered": rendered})
    return member


async def _base(record: RequestRecord, version: str) -> str:
    """The commit whose tree is the skeleton as it was rendered for the version that the repository is at.

    Raises:
        RequestRejectedError: nobody knows it any more.
    """
    name = record.application
    known = await campaigns.renderings(name)
    made = [step.link for step in await steps.of_request(name, record.id) if step.name == "set_content"]
    known += [link.rpartition("/")[2] for link in made if link]
    for commit in known:
        if await _version(name, commit) == version:
            return commit
    detail = f"{name} says it is at {version}, but nothing is known to have been rendered for that: update it by hand."
    raise RequestRejectedError("unknown-rendering", detail, status=409)


async def _version(name: str, reference: str) -> str:
    """The archetype's version that a commit or branch was made from; empty when it does not say."""
    text = await github.read_file(name, ANSWERS, reference)
    document = yaml.safe_load(text) if text else None
    return str(document.get("_commit", "")) if isinstance(document, dict) else ""


def _number(version: str) -> tuple[int, ...]:
    """A version that can be compared; raises ValueError when it is none."""
    try:
        return tuple(int(part) for part in version.split("."))
    except ValueError:
        raise ValueError(f"{ANSWERS} says version {version!r}: it must be that of the archetype") from None


async def _content(name: str, blob: str | None) -> str | None:
    return await github.read_blob(name, blob) if blob else None


async def _note_version(member: CampaignMember, version: str) -> None:
    """The application is at this version now: somebody has merged an earlier pull request."""

    def work(old: ApplicationRecord) -> tuple[ApplicationRecord, Entry] | None:
        if old.archetype_version == version:
            return None
        entry = Entry(f"{old.name}:version:{version}", utc_now(), "appstore", "update", old.request_id, version)
        return old.model_copy(update={"archetype_version": version}), entry

    await applications.change(member.application, work)


def _text(campaign: CampaignRecord, member: CampaignMember) -> str:
    lines = [f"The archetype `{campaign.archetype}` is at {campaign.version} now; campaign {campaign.id}.", ""]
    if campaign.reason:
        lines += [campaign.reason, ""]
    if member.conflicts:
        lines += [
            "Both sides changed these files. Settle what stands between `<<<<<<<` and `>>>>>>>`, and decide about"
        ]
        lines += ["files that one side has taken away; then mark the pull request as ready:", ""]
        lines += [f"- `{path}`" for path in member.conflicts]
    return "\n".join(lines)


@look
async def read_template_checks(data: CampaignWave) -> WaveProgress:
    """Look at the checks of the wave's pull requests.

    Idempotency: reads at the vendor; what has a result keeps it.
    """
    if not await _goes_on(data):
        return WaveProgress(left=0)
    left = 0
    for member in await campaigns.members(data.run.request_id, data.wave):
        if member.state is _M.OPENED:
            state, detail = await _checked(member)
            if state is _M.OPENED and data.last_look:
                state, detail = _M.FAILED, "the checks had no result in time"
            left += state is _M.OPENED
            if state is not _M.OPENED:
                await campaigns.write_member(member.model_copy(update={"state": state, "detail": detail}))
    return WaveProgress(left=left)


async def _checked(member: CampaignMember) -> tuple[MemberState, str]:
    pull = await github.read_pull(member.application, member.pull_number or 0)
    if pull.merged_at:
        return _M.PASSED, "merged"
    runs = await list_check_runs(member.application, pull.head.sha)  # somebody may have mended it meanwhile
    bad = [run.name for run in runs if run.status == "completed" and run.conclusion not in _GOOD]
    if bad:
        return _M.FAILED, f"the check {bad[0]} failed"
    done = runs and all(run.status == "completed" for run in runs)
    return (_M.PASSED, "") if done else (_M.OPENED, "")
