//! `verify`: does the repository have what the source says?

use super::{
    Of,
    ask::{Needs, ask},
};
use crate::{
    app::Failure,
    control::Request,
    output::{out, outln},
};
use serde_json::Value;

/// Compares a mirror's repository with its source.
///
/// # Errors
/// A configuration that cannot be used, a source or repository that fails, or differences (exit code 3).
pub fn run(Of { config, mirror, json }: Of) -> Result<(), Failure> {
    let request = Request::Verify {
        mirror: mirror.clone(),
    };
    let answer = ask(&config, request, Needs::Branches)?;
    if json {
        outln!("{answer}");
    } else {
        out!("{}", text(&answer));
    }
    let branches = answer["branches"].as_array();
    if branches.is_some_and(|branches| branches.iter().all(|branch| branch["equal"] == true)) {
        return Ok(());
    }
    Err(Failure::differs(format!(
        "the repository of mirror `{mirror}` is not what its source makes; `kbc-mirror mirror resync` mends it"
    )))
}

fn text(answer: &Value) -> String {
    let mut text = String::new();
    for branch in answer["branches"].as_array().into_iter().flatten() {
        let name = branch["ref"].as_str().unwrap_or_default();
        let waiting = match branch["waiting"].as_u64() {
            Some(0) | None => String::new(),
            Some(1) => "; 1 event waits to be mirrored".to_owned(),
            Some(waiting) => format!("; {waiting} events wait to be mirrored"),
        };
        let found = match (
            &branch["tip"],
            branch["differencesInAll"].as_u64().unwrap_or_default(),
        ) {
            (Value::Null, _) => "not mirrored yet".to_owned(),
            (_, 0) => "equal".to_owned(),
            (_, 1) => "1 file differs".to_owned(),
            (_, count) => format!("{count} files differ"),
        };
        text.push_str(&format!("{name}: {found}{waiting}\n"));
        let differences = branch["differences"].as_array();
        for one in differences.into_iter().flatten() {
            let word = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
            text.push_str(&format!("  {:<9} {}\n", word("is"), word("path")));
        }
        for path in branch["colliding"].as_array().into_iter().flatten() {
            text.push_str(&format!(
                "  collides  {}: somebody else's, and only case tells it from a path of the mirror's; rename or delete it\n",
                path.as_str().unwrap_or_default()
            ));
        }
        text.push_str(&super::withheld(branch));
    }
    text
}
