//! `notify test`: do notices arrive?

use super::{
    NotifyCommand, Of,
    serve::{run_to_end, runtime},
};
use crate::{
    app::Failure,
    config::{Config, MirrorSpec},
    notify::{
        channel::{Channels, Target},
        message::{Context, Message},
    },
    output::outln,
    state::notices::fresh_id,
};
use mirror_core::incident::{Notice, NoticeKind};
use serde_json::json;
use std::{collections::BTreeSet, path::Path};

/// Runs a `notify` command.
///
/// # Errors
/// A configuration that cannot be used, a mirror without addresses, or an address that takes nothing.
pub fn run(command: NotifyCommand) -> Result<(), Failure> {
    let NotifyCommand::Test(Of { config, mirror, json }) = command;
    let Outcome {
        id,
        addresses: outcomes,
    } = test(&config, &mirror)?;
    if json {
        let targets = outcomes.iter().map(
            |(address, problem)| json!({ "address": address, "ok": problem.is_none(), "problem": problem }),
        );
        outln!(
            "{}",
            json!({ "mirror": mirror, "notice": id, "addresses": targets.collect::<Vec<_>>() })
        );
    } else {
        for (address, problem) in &outcomes {
            match problem {
                None => outln!("ok      {address}"),
                Some(problem) => outln!("failed  {address}: {problem}"),
            }
        }
    }
    if outcomes.iter().all(|(_, problem)| problem.is_none()) {
        return Ok(());
    }
    Err(Failure::message(format!(
        "notices of mirror `{mirror}` do not arrive everywhere"
    )))
}

/// What became of a test notice.
struct Outcome {
    /// Of the notice.
    id: String,
    /// What went wrong, by address.
    addresses: Vec<(String, Option<String>)>,
}

/// Sends to each address.
fn test(path: &Path, mirror: &str) -> Result<Outcome, Failure> {
    let usage = |error: &dyn std::error::Error| Failure::usage(crate::app::chain(error));
    let config = Config::read(path).map_err(|error| usage(&error))?;
    let spec: &MirrorSpec = config.mirror(mirror).map_err(|error| usage(&error))?;
    if spec.notify.is_empty() {
        return Err(Failure::usage(format!(
            "mirror `{mirror}` has no addresses; add some, such as `notify = [{{ email = \"jane@example.com\" }}]`"
        )));
    }
    let channels = Channels::open(&config).map_err(|error| usage(&error))?;
    let now = crate::system::wall_clock();
    let notice = Notice {
        kind: NoticeKind::Test,
        branches: BTreeSet::new(),
        since: now,
        at: now,
        why: "somebody ran `kbc-mirror notify test`".to_owned(),
        items: Vec::new(),
        items_more: 0,
    };
    let message = Message::new(fresh_id(), Context::of(spec, Vec::new()), notice);
    let addresses = run_to_end(runtime()?, async {
        let mut outcomes = Vec::new();
        for target in &spec.notify {
            let sent = channels.send(target, &message).await;
            let problem = sent.err().map(|error| crate::app::chain(&error));
            outcomes.push((Target::key(target), problem));
        }
        outcomes
    });
    Ok(Outcome {
        id: message.id,
        addresses,
    })
}
