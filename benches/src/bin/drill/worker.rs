//! A process of the product.

use anyhow::{Result, bail, ensure};
use serde_json::Value;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long anything is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Polls until `look` finds something.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        ensure!(
            Instant::now() < deadline,
            "waited {} s in vain: {what}",
            PATIENCE.as_secs()
        );
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A command of the product, which is in this executable.
fn product() -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("product");
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(name);
    }
    Ok(command)
}

/// Runs a command of the product to its end.
pub(crate) async fn ask(config: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = product()?;
    command.args(arguments).arg("--config").arg(config);
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    ensure!(
        output.status.success(),
        "{arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A running `serve`; it is killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    pub(crate) address: String,
    log: PathBuf,
    http: reqwest::Client,
}

impl Worker {
    /// Starts one and waits until it listens. Its log lies beside the configuration.
    pub(crate) async fn start(config: &Path) -> Result<Self> {
        let log = config.with_extension("log");
        let child = product()?
            .args(["serve", "--config"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()?;
        let mut worker = Self {
            child,
            address: String::new(),
            log,
            http: client()?,
        };
        worker.address = until("the process listens", async || {
            if worker.child.try_wait()?.is_some() {
                bail!("the process ended: {}", fs::read_to_string(&worker.log)?);
            }
            let log = fs::read_to_string(&worker.log)?;
            let lines = log
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let mut listening = lines.filter(|line| line["message"] == "listening");
            Ok(listening
                .next()
                .and_then(|line| line["address"].as_str().map(str::to_owned)))
        })
        .await?;
        Ok(worker)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills the process with SIGKILL and waits for its end.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Returns the value of a metric with exactly these labels; none if it is not there.
    pub(crate) async fn metric(&self, name: &str) -> Result<Option<f64>> {
        let page = self.page("/metrics").await?;
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        Ok(page.lines().find_map(value))
    }

    async fn page(&self, path: &str) -> Result<String> {
        let url = format!("http://{}{path}", self.address);
        let answer = self.http.get(url).bearer_auth(super::site::INGEST_TOKEN).send();
        Ok(answer.await?.error_for_status()?.text().await?)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.kill());
    }
}

/// A client without proxies.
pub(crate) fn client() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(60))
        .build()?)
}
