//! What do durable acceptance, latency, fairness, idle lanes and takeover come to? `cargo xtask drill`.
//!
//! Everything is real: the product as a process of its own, SQLite or `nats-server`, Git behind a web server, the fake Keboola with
//! its strict interface. Each drill first sees that nothing was lost and nothing done twice; a figure of a run that lost
//! something is no figure. Results are for people (a table) or programs (`--json`).

#![expect(clippy::print_stdout, reason = "a command for people at a terminal")]

mod accept;
mod check;
mod feed;
mod figures;
mod follow;
mod idle;
mod latency;
mod neighbour;
mod process;
mod site;
mod takeover;
mod worker;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use figures::Figures;
use std::process::ExitCode;

/// Measures the product on this machine; see `benches/README.md`.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    drill: Drill,
}

#[derive(Debug, Subcommand)]
enum Drill {
    /// All of them, one after the other (about thirteen minutes)
    All(How),
    /// Events per second durably accepted, by backend and number of producers
    Accept(How),
    /// Events per second from acceptance to the remote, and how quickly an outage is caught up with
    Process(How),
    /// From accepted to pushed: a lone edit, and mixed load; window and eager mode
    Latency(How),
    /// What quiet projects notice of one with 1,000 events a second
    Neighbour(How),
    /// What a lane costs that has nothing to do
    Idle(How),
    /// From `kill -9` of a worker to the next commit, by another one
    Takeover(How),
    /// The product itself, as the process that is measured
    #[command(hide = true)]
    Product {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

/// How a drill is run.
#[derive(Debug, Clone, Copy, Args)]
struct How {
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Just enough to see that it works; the figures mean nothing
    #[arg(long)]
    tiny: bool,
}

impl How {
    /// A size that is another where nothing is to be measured.
    fn size<T>(self, real: T, tiny: T) -> T {
        if self.tiny { tiny } else { real }
    }
}

fn main() -> ExitCode {
    let Cli { drill } = Cli::parse();
    if let Drill::Product { arguments } = drill {
        let arguments = ["kbc-mirror".to_owned()].into_iter().chain(arguments);
        return mirror_runtime::app::run(mirror_runtime::cli::Cli::parse_from(arguments));
    }
    match run(&drill) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(drill: &Drill) -> Result<()> {
    let (Drill::All(how)
    | Drill::Accept(how)
    | Drill::Process(how)
    | Drill::Latency(how)
    | Drill::Neighbour(how)
    | Drill::Idle(how)
    | Drill::Takeover(how)) = *drill
    else {
        return Ok(());
    };
    let mut figures = Figures::new(how.json);
    let all = matches!(drill, Drill::All(_));
    if all || matches!(drill, Drill::Accept(_)) {
        accept::run(how, &mut figures).await?;
    }
    if all || matches!(drill, Drill::Process(_)) {
        process::run(how, &mut figures).await?;
    }
    if all || matches!(drill, Drill::Latency(_)) {
        latency::run(how, &mut figures).await?;
    }
    if all || matches!(drill, Drill::Neighbour(_)) {
        neighbour::run(how, &mut figures).await?;
    }
    if all || matches!(drill, Drill::Idle(_)) {
        idle::run(how, &mut figures).await?;
    }
    if all || matches!(drill, Drill::Takeover(_)) {
        takeover::run(how, &mut figures).await?;
    }
    if how.json {
        println!("{}", figures.json());
    }
    Ok(())
}
