//! `once`: synchronise one mirror now, then exit.

use super::{
    Once,
    serve::{run_to_end, runtime, start_failure},
};
use crate::{
    app::Failure,
    config::{AcceptDeletions, Config, MirrorSpec},
    output::{errln, out, outln},
    pipeline::{
        attempt::{Due, Landed, Lane},
        error::AttemptError,
        memory::{Memory, WithheldNow},
        reconcile::Definitions,
    },
    queue::retention::{retention, sweep},
    runner::{is_behind, lanes},
    system::System,
};
use mirror_core::{
    deletions::Loss,
    ids::{LaneId, MirrorId, ObjectKey, Oid},
    incident::Report,
    reconcile::Compared,
    retry::{Disposition, Failure as Failed, Notice, Outage},
    window::later,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A version that was announced may take moments to become visible; so often it is waited for.
const ATTEMPTS_MAX: u32 = 20;

/// Drains the log, compares with the source, and exits.
///
/// # Errors
/// A configuration that cannot be used, or an attempt that fails.
pub fn run(once: &Once) -> Result<(), Failure> {
    let mut config = Config::read(&once.config).map_err(|error| Failure::usage(crate::app::chain(&error)))?;
    let mut spec = config
        .mirror(&once.mirror)
        .map_err(|error| Failure::usage(error.to_string()))?
        .clone();
    if once.accept_deletions {
        spec.accept_deletions = AcceptDeletions::Everything;
    }
    spec.accept_rewrite = once.accept_rewrite.or(spec.accept_rewrite);
    spec.accept_deleted_branch = once.accept_deleted_branch.or(spec.accept_deleted_branch);
    let mirrors = std::mem::replace(&mut config.mirrors, vec![spec.clone()]);
    run_to_end(runtime()?, async {
        let system = System::open(config)
            .await
            .map_err(|error| start_failure(&error))?;
        let outcome = bring_up_to_date(&system, &spec, once.release_refused).await;
        // What was found is told in any case.
        deliver(&system, &spec.id).await?;
        let done = outcome?;
        print(once.json, &done, &system.status.shadow_pages(|_| true));
        if let Some(failure) = done.failure() {
            return Err(failure);
        }
        tidy(&system, &mirrors, &spec.id, &done.lanes).await;
        Ok(())
    })
}

/// What became of a mirror's branches, the default one first.
struct Synchronised {
    lanes: Vec<Lane>,
    branches: Vec<Branch>,
}

/// What became of one branch.
struct Branch {
    /// Which one, and what it withholds, in the form that its status has it.
    shown: Value,
    /// What was pushed, also where something failed after it.
    landed: Vec<Landed>,
    failed: Option<Failure>,
}

impl Synchronised {
    /// Returns what the run ends with; none if all branches are in sync.
    fn failure(&self) -> Option<Failure> {
        let failed = self.branches.iter().filter_map(|branch| branch.failed.as_ref());
        let reasons: Vec<String> = failed.map(ToString::to_string).collect();
        let text = match (&reasons[..], self.branches.len()) {
            ([], _) => return None,
            ([only], 1) => only.clone(),
            (reasons, all) => format!(
                "{} of {all} branches failed:\n{}",
                reasons.len(),
                reasons.join("\n")
            ),
        };
        Some(Failure::message(text))
    }
}

async fn bring_up_to_date(
    system: &System,
    spec: &MirrorSpec,
    release_refused: bool,
) -> Result<Synchronised, Failure> {
    let paused = system.pauses.since(&spec.id).await;
    if let Some(since) = paused.map_err(|error| Failure::failed(&error))? {
        return Err(Failure::message(format!(
            "mirror `{mirror}` is paused since {since}, so nothing is begun; `kbc-mirror mirror resume --mirror {mirror}` lets it go on",
            mirror = spec.id
        )));
    }
    let failed = |error| start_failure(&error);
    let mirror = system.mirror(spec).await.map_err(failed)?;
    system.verify(&mirror).await.map_err(failed)?;
    let mut lanes = lanes(system, &mirror).await.map_err(failed)?;
    let mut branches = Vec::with_capacity(lanes.len());
    for lane in &mut lanes {
        let mut landed = Vec::new();
        // An attempt is too much for the stack of a thread, with all that waits for it.
        let every = system.config.reconcile.every;
        let outcome = Box::pin(bring_branch_up_to_date(lane, every, release_refused, &mut landed)).await;
        // One that fails keeps no other one back.
        let (shown, failed) = match outcome {
            Ok(shown) => (shown, None),
            Err(failure) => (named(lane), Some(failure)),
        };
        branches.push(Branch {
            shown,
            landed,
            failed,
        });
    }
    Ok(Synchronised { lanes, branches })
}

/// Returns the branch with what it withholds; `landed` gets what is pushed on the way.
async fn bring_branch_up_to_date(
    lane: &mut Lane,
    every: Option<Duration>,
    release_refused: bool,
    landed: &mut Vec<Landed>,
) -> Result<Value, Failure> {
    if release_refused {
        or_failure(lane, lane.release_refused().await).await?;
    }
    let held = synchronise(lane, every, landed).await?;
    or_failure(lane, what_is_withheld(lane, held).await).await
}

/// Says which branch of Keboola's a lane is of, and which one of Git's.
fn named(lane: &Lane) -> Value {
    json!({ "branchId": lane.id.branch.as_str(), "ref": lane.refname.to_string() })
}

/// Says what a branch withholds, whether this run committed something or not.
async fn what_is_withheld(lane: &Lane, held: Held) -> Result<Value, AttemptError> {
    let mut shown = named(lane);
    let memory = match held {
        Some((_, memory)) => Some(memory),
        None => lane.stored_memory().await?,
    };
    let Some(memory) = memory else {
        WithheldNow::put_unknown_into(&mut shown);
        return Ok(shown);
    };
    let mut types: BTreeMap<&str, usize> = BTreeMap::new();
    for (object, _) in memory.withheld() {
        *types.entry(type_of(object)).or_default() += 1;
    }
    let mut withheld = lane.withheld_now(&memory).await;
    withheld.runs.extend(lane.unusable_runs.shown());
    for (called, count) in [
        ("shared files", withheld.files.len()),
        ("runs", withheld.runs.len()),
    ] {
        if count > 0 {
            types.insert(called, count);
        }
    }
    shown["withheldTypes"] = json!(types);
    withheld.put_into(&mut shown);
    Ok(shown)
}

/// Returns what objects of a type are called where they are counted.
fn type_of(object: &ObjectKey) -> &'static str {
    match object {
        ObjectKey::Branch => "the branch",
        ObjectKey::Config { .. } => "configurations",
        ObjectKey::Row { .. } => "rows",
        ObjectKey::Bucket(_) => "buckets",
        ObjectKey::Table(_) => "tables",
        ObjectKey::Sample(_) => "samples",
        ObjectKey::Job(_) => "runs",
    }
}

/// What a lane has in memory of the commit that it is at.
type Held = Option<(Oid, Memory)>;

/// Delivers what admins are to be told, as far as that goes at the first try; the rest is for the next run.
async fn deliver(system: &System, mirror: &MirrorId) -> Result<(), Failure> {
    // Where workers share them, what an earlier run left is not in the file yet.
    if let Err(error) = system.notices.store.take(mirror).await {
        tracing::warn!(
            error = crate::app::chain(&error),
            "what an earlier run left to be told cannot be read"
        );
    }
    let courier = system.courier().map_err(|error| start_failure(&error))?;
    if let Err(error) = courier.round().await {
        tracing::warn!(error = crate::app::chain(&error), "notices cannot be delivered");
    }
    Ok(())
}

/// Lets go of what nobody waits for in the log; of other mirrors' projects nothing, since it is not known
/// here which lanes they have.
async fn tidy(system: &System, mirrors: &[MirrorSpec], mirror: &MirrorId, lanes: &[Lane]) {
    let ids: Vec<LaneId> = lanes.iter().map(|lane| lane.id.clone()).collect();
    let open = BTreeSet::from([mirror.clone()]);
    let kept = retention(&system.config.log, mirrors, &open, &ids, (system.now)());
    if let Err(error) = sweep(&*system.log, &kept).await {
        tracing::warn!(error = crate::app::chain(&error), "the log cannot be pruned");
    }
}

/// A comparison that is due looks at what typed tables are made of too, which is a call for each of them. Returns what is
/// to be remembered of it.
async fn due_comparison(lane: &Lane, every: Option<Duration>) -> Result<Option<Compared>, AttemptError> {
    let last = lane.last_compared().await?;
    let is_due = every.is_some_and(|every| later(last.at, every) <= (lane.now)());
    match is_due {
        true => lane.begin_comparison(&last).await.map(Some),
        false => Ok(None),
    }
}

async fn synchronise(
    lane: &mut Lane,
    every: Option<Duration>,
    landed: &mut Vec<Landed>,
) -> Result<Held, Failure> {
    let looked = async {
        let comparison = due_comparison(lane, every).await?;
        let definitions = match comparison {
            Some(_) => Definitions::Asked,
            None => Definitions::LeftOut,
        };
        Ok((comparison, lane.observe(definitions).await?))
    };
    let (comparison, observed) = match looked.await {
        Ok(looked) => looked,
        Err(error) => return Err(failed(lane, &error).await),
    };
    let mut told = BTreeSet::new();
    let (mut held, first) = attempt(lane, None, &mut told).await?;
    let is_snapshot = first
        .last()
        .is_some_and(|landed| landed.kind == mirror_core::commit::CommitKind::Snapshot);
    landed.extend(first);
    let mut is_snapshot = is_snapshot;
    // History from before the mirror comes first, a batch at a time.
    while or_failure(lane, lane.is_backfilling().await).await? {
        let (next, more) = attempt(lane, held, &mut told).await?;
        held = next;
        is_snapshot |= more
            .last()
            .is_some_and(|landed| landed.kind == mirror_core::commit::CommitKind::Snapshot);
        landed.extend(more);
    }
    // A snapshot is remembered with what it read.
    if !is_snapshot && let Some((_, memory)) = &held {
        let repaired = or_failure(lane, lane.reconcile(memory, &observed).await).await?;
        if repaired > 0 {
            tracing::info!(lane = %lane.id, events = repaired, "the comparison with the source found changes");
        }
        if let Some(compared) = comparison {
            or_failure(lane, lane.end_comparison(&compared).await).await?;
        }
    }
    while is_behind(lane).await.map_err(|error| Failure::failed(&error))? {
        let (next, more) = attempt(lane, held, &mut told).await?;
        held = next;
        landed.extend(more);
    }
    recovered(lane).await;
    tell_months(lane).await;
    Ok(held)
}

/// Notes that a lane fails, as a running process would: the next run knows since when, and admins are told.
async fn failed(lane: &Lane, error: &AttemptError) -> Failure {
    let now = (lane.now)();
    let note = async {
        let failure = Failed {
            disposition: error.disposition(),
            cause: error.cause(),
            reason: lane.reason_of(error).await,
        };
        let outage = match lane.state.outage(&lane.id).await? {
            Some(mut outage) => {
                outage.failed(failure);
                outage
            }
            None => Outage::begin(failure, now),
        };
        let mut told = outage.clone();
        let notices = told.take_notices(now);
        let reports = notices.into_iter().map(|notice| report(lane, notice, &outage));
        lane.notices.report(reports.collect(), now).await?;
        lane.state.put_outage(&lane.id, Some(&told)).await
    };
    if let Err(error) = note.await {
        tracing::error!(lane = %lane.id, error = crate::app::chain(&error), "the outage cannot be stored");
    }
    failure(lane, error).await
}

/// Notes that a lane is in order.
async fn recovered(lane: &Lane) {
    let note = async {
        let Some(outage) = lane.state.outage(&lane.id).await? else {
            return Ok(());
        };
        let notice = outage.recovered().map(|notice| report(lane, notice, &outage));
        lane.notices
            .report(notice.into_iter().collect(), (lane.now)())
            .await?;
        lane.state.put_outage(&lane.id, None).await
    };
    if let Err(error) = note.await {
        tracing::error!(lane = %lane.id, error = crate::app::chain(&error), "the end of the outage cannot be stored");
    }
}

/// Has admins told which branches of months of runs take no pushes; what they were told before is known.
async fn tell_months(lane: &Lane) {
    if let Err(error) = lane
        .notices
        .report(vec![lane.report_months()], (lane.now)())
        .await
    {
        tracing::error!(lane = %lane.id, error = crate::app::chain(&error), "what admins are told cannot be stored");
    }
}

fn report(lane: &Lane, notice: Notice, outage: &Outage) -> Report {
    Report::Outage {
        from: Some(lane.id.branch.clone()),
        notice,
        outage: outage.clone(),
    }
}

/// Goes on until the branch is as new as the source shows it. What it waits for on the way is said once; `told` has it.
async fn attempt(
    lane: &mut Lane,
    mut held: Held,
    told: &mut BTreeSet<String>,
) -> Result<(Held, Vec<Landed>), Failure> {
    let due = Due {
        change: true,
        jobs: true,
    };
    for _ in 1..ATTEMPTS_MAX {
        match lane.attempt(held.take(), due).await {
            Ok(done) => {
                let landed = done.caught_up.into_iter().chain(done.landed).collect();
                return Ok((done.base.map(|base| (base, done.memory)), landed));
            }
            Err(AttemptError::Renamed { refname }) => *lane = lane.renamed(refname),
            Err(error) => match error.disposition() {
                Disposition::RefMoved => {}
                Disposition::Temporary { after: Some(after) } if after <= Duration::from_secs(5) => {
                    if error.is_not_shown() {
                        say_once(lane, &error, told).await;
                    }
                    tokio::time::sleep(after).await;
                }
                Disposition::Temporary { .. } | Disposition::NeedsCustomer | Disposition::Permanent => {
                    return Err(failed(lane, &error).await);
                }
            },
        }
    }
    Err(Failure::message(format!(
        "{}: the source or the branch keeps changing; try again",
        lane.id
    )))
}

/// Says on standard error what is waited for, which takes `keboola.visible_within_ms` at most.
async fn say_once(lane: &Lane, error: &AttemptError, told: &mut BTreeSet<String>) {
    let reason = lane.reason_of(error).await;
    if told.insert(reason.clone()) {
        let most = lane.source.visible_within();
        errln!(
            "{}: an event told of what Keboola does not show: {reason}; it is waited for, at most {} s since it was told, and then put aside as a dead letter",
            lane.id,
            most.as_secs()
        );
    }
}

async fn failure(lane: &Lane, error: &AttemptError) -> Failure {
    Failure::message(format!("{}: {}", lane.id, lane.reason_of(error).await))
}

async fn or_failure<T>(lane: &Lane, outcome: Result<T, AttemptError>) -> Result<T, Failure> {
    match outcome {
        Ok(done) => Ok(done),
        Err(error) => Err(failure(lane, &error).await),
    }
}

fn print(as_json: bool, done: &Synchronised, shadows: &[Value]) {
    let Synchronised { branches, .. } = done;
    if as_json {
        let commits: Vec<_> = branches
            .iter()
            .flat_map(|branch| &branch.landed)
            .map(|landed| {
                json!({
                    "ref": landed.refname,
                    "commit": landed.commit.to_string(),
                    "subject": landed.message.lines().next(),
                    "author": landed.author,
                    "added": landed.added,
                    "modified": landed.modified,
                    "deleted": landed.deleted,
                    "withheld": landed.withheld.len(),
                    "objects": crate::status::inventory(&landed.inventory),
                    "vanished": landed.vanished.iter().map(Loss::left_nothing).collect::<Vec<_>>(),
                })
            })
            .collect();
        let shown = branches.iter().map(|branch| {
            let mut shown = branch.shown.clone();
            shown["pushed"] = json!(branch.landed.len());
            shown["failed"] = json!(branch.failed.as_ref().map(ToString::to_string));
            shown
        });
        let shown: Vec<Value> = shown.collect();
        outln!(
            "{}",
            json!({ "commits": commits, "branches": shown, "shadows": shadows })
        );
        return;
    }
    if branches
        .iter()
        .all(|branch| branch.landed.is_empty() && branch.failed.is_none())
    {
        outln!("in sync; nothing to commit");
    }
    for Branch {
        shown,
        landed,
        failed,
    } in branches
    {
        for landed in landed {
            outln!(
                "{} {} {}",
                landed.refname,
                landed.commit,
                landed.message.lines().next().unwrap_or_default()
            );
            for loss in &landed.vanished {
                outln!("  nothing is left of {}", loss.left_nothing());
            }
        }
        if failed.is_some() {
            // Why it did is said on standard error.
            outln!("{} failed", shown["ref"].as_str().unwrap_or_default());
        }
    }
    for branch in branches {
        out!("{}", withheld_lines(&branch.shown));
    }
    for shadow in shadows {
        outln!("{}", shadow_line(shadow));
    }
}

/// Says how much of each type a branch withholds, and the first of it with the reasons; nothing where nothing is.
fn withheld_lines(branch: &Value) -> String {
    let types = branch["withheldTypes"].as_object().into_iter().flatten();
    let counts: Vec<String> = types
        .map(
            |(called, count)| match (count.as_u64(), called.strip_suffix('s')) {
                (Some(1), Some(one)) => format!("1 {one}"),
                (Some(1), None) => called.clone(),
                _ => format!("{count} {called}"),
            },
        )
        .collect();
    let named = super::withheld(branch);
    if named.is_empty() {
        return named;
    }
    let name = branch["ref"].as_str().unwrap_or_default();
    match counts[..] {
        [] => format!("{name}\n{named}"),
        _ => format!("{name} withholds {}:\n{named}", counts.join(", ")),
    }
}

/// Says in a line what a shadow policy has seen.
fn shadow_line(page: &Value) -> String {
    let word = |name: &str| page[name].as_str().unwrap_or_default();
    let (policy, state) = (word("policy"), word("state"));
    let why = match word("why") {
        "" => String::new(),
        why => format!(" ({why})"),
    };
    let objects = &page["objects"];
    format!(
        "shadow {policy}, {state}{why}: of {} texts it would have changed {} objects, {} names and {} messages, and withheld {} objects; findings {}, failures {}",
        page["documents"],
        objects["wouldChange"],
        page["names"]["wouldChange"],
        page["messages"]["wouldChange"],
        objects["wouldWithhold"],
        objects["findings"],
        page["failures"],
    )
}

#[cfg(test)]
mod tests;
