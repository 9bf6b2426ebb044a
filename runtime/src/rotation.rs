//! Taking renewed credentials while everything runs: what is in the files that a mirror's credentials come from is looked at
//! every few seconds, before each attempt and when a credential is refused, and another one replaces the one in use in place.
//!
//! Whoever is in the middle of a request ends it with what it was begun with. What is decided is pure ([`renewal`]); here
//! it is read, tried and told. Environment variables and pipes are what they were when the mirror was opened.

mod renewal;

use crate::{
    config::{KeboolaConfig, MirrorSpec},
    credential::CredentialRef,
    metrics::{Metrics, Purpose},
    pipeline::transform::OwnSecrets,
    repository::Renewable,
    status::{CredentialStatus, Status},
    system,
};
use jiff::Timestamp;
use mirror_keboola::KeboolaClient;
use renewal::{Fingerprint, Found, News, Renewal};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::{fmt, sync::Arc, time::Duration};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

/// Files are looked at so often.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A file system that takes longer is not waited for.
const READ_WITHIN: Duration = Duration::from_secs(10);
/// Another credential must stand there so long before it is believed: it may be being written.
const SETTLED_AFTER: Duration = Duration::from_millis(100);
const READS_MAX: u32 = 10;
/// Keboola is asked so long whose a new token is.
const VERIFIED_WITHIN: Duration = Duration::from_secs(30);

/// What renews the credentials of one mirror.
pub struct Rotation {
    spec: Arc<MirrorSpec>,
    client: KeboolaClient,
    keboola: KeboolaConfig,
    repository: Option<Renewable>,
    own_secrets: Arc<OwnSecrets>,
    metrics: Arc<Metrics>,
    status: Arc<Status>,
    now: fn() -> Timestamp,
    /// One look at a time, so that none takes for new what another one saw before.
    sources: Mutex<Vec<Source>>,
    /// How many were taken.
    taken: watch::Sender<u64>,
}

/// One credential, and where it comes from.
struct Source {
    purpose: Purpose,
    parts: Vec<Part>,
    renewal: Renewal,
}

/// A piece of a credential; all of them are taken together.
#[derive(Clone)]
struct Part {
    reference: CredentialRef,
    in_use: SecretString,
}

impl fmt::Debug for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rotation")
            .field("mirror", &self.spec.id)
            .finish_non_exhaustive()
    }
}

/// What a mirror's credentials are renewed in, and who is told of it.
pub(crate) struct Used<'s> {
    pub(crate) spec: &'s Arc<MirrorSpec>,
    pub(crate) token: SecretString,
    pub(crate) client: KeboolaClient,
    pub(crate) keboola: KeboolaConfig,
    pub(crate) repository: Option<Renewable>,
    pub(crate) own_secrets: Arc<OwnSecrets>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) status: Arc<Status>,
    pub(crate) now: fn() -> Timestamp,
}

impl Rotation {
    pub(crate) fn new(used: Used<'_>) -> Self {
        let Used {
            spec,
            token,
            client,
            keboola,
            repository,
            own_secrets,
            metrics,
            status,
            now,
        } = used;
        let token = Part {
            reference: spec.token.clone(),
            in_use: token,
        };
        let mut sources = vec![Source::new(Purpose::keboola, vec![token])];
        if let Some(repository) = &repository {
            let parts = repository
                .parts()
                .map(|(reference, in_use)| Part { reference, in_use });
            sources.push(Source::new(Purpose::repository, parts.collect()));
        }
        Self {
            spec: Arc::clone(spec),
            client,
            keboola,
            repository,
            own_secrets,
            metrics,
            status,
            now,
            sources: Mutex::new(sources),
            taken: watch::channel(0).0,
        }
    }

    /// Returns how many credentials were taken so far.
    #[must_use]
    pub fn taken(&self) -> u64 {
        *self.taken.borrow()
    }

    /// Tells when one was taken.
    #[must_use]
    pub fn renewed(&self) -> watch::Receiver<u64> {
        self.taken.subscribe()
    }

    /// Looks every few seconds, and at once when `asked` changes, until it is stopped.
    pub async fn watch(&self, mut asked: watch::Receiver<u64>, stop: CancellationToken) {
        loop {
            let hurry = tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => false,
                changed = asked.changed() => match changed {
                    Ok(()) => true,
                    Err(_) => return,
                },
            };
            self.look_within(hurry).await;
        }
    }

    /// Looks whether there is another credential by now, and takes it.
    pub async fn look(&self) {
        self.look_within(false).await;
    }

    async fn look_within(&self, hurry: bool) {
        let mut sources = self.sources.lock().await;
        for source in sources.iter_mut() {
            let parts = source.parts.clone();
            let reading = tokio::task::spawn_blocking(move || settled(&parts));
            let read = match tokio::time::timeout(READ_WITHIN, reading).await {
                Ok(Ok(read)) => read,
                Ok(Err(_)) | Err(_) => Err("the file system does not answer".to_owned()),
            };
            self.consider(source, read, hurry).await;
        }
    }

    /// Does what is to be done about what was read.
    async fn consider(&self, source: &mut Source, read: Result<Vec<SecretString>, String>, hurry: bool) {
        let now = (self.now)();
        let found = match &read {
            Ok(texts) => Found::Text(fingerprint(texts)),
            Err(problem) => Found::Nothing(problem.clone()),
        };
        let (tries, mut news) = source.renewal.saw(&found, hurry, now);
        if let (true, Ok(texts), Found::Text(fingerprint)) = (tries, read, found) {
            match self.take(source.purpose, &texts).await {
                Ok(()) => {
                    source.took(texts, fingerprint);
                    return self.renew(source.purpose);
                }
                Err(problem) => news = source.renewal.refused(fingerprint, &problem, now),
            }
        }
        self.tell(source.purpose, news);
    }

    /// Puts a credential in the place of the one in use, if it can be used.
    async fn take(&self, purpose: Purpose, texts: &[SecretString]) -> Result<(), String> {
        // The first piece is the secret. It must not leave, whether it can be used or not.
        let Some(secret) = texts.first() else {
            return Ok(());
        };
        self.own_secrets.learn(secret);
        match (purpose, &self.repository) {
            (Purpose::keboola, _) => {
                self.verify(secret).await?;
                self.client.renew_token(secret).map_err(|error| chain(&error))
            }
            (Purpose::repository, Some(repository)) => repository.renew(texts).map_err(|error| chain(&error)),
            (Purpose::repository, None) => Ok(()),
        }
    }

    /// Asks whose a token is: with that of another project its content would get into this one's repository.
    async fn verify(&self, token: &SecretString) -> Result<(), String> {
        let client = system::client(&self.keboola, &self.spec.stack_url, token.clone());
        let client = client.map_err(|error| chain(&error))?;
        let asked = tokio::time::timeout(VERIFIED_WITHIN, client.verify_token()).await;
        let Ok(asked) = asked else {
            return Err("keboola does not say in time whose the token is".to_owned());
        };
        let token = asked.map_err(|error| chain(&error))?;
        if token.project_id != self.spec.project {
            return Err(format!(
                "the token is of project {}, not of {}",
                token.project_id, self.spec.project
            ));
        }
        if !token.is_master {
            tracing::warn!(mirror = %self.spec.id, "the token is no master token; some objects may not be visible to it");
        }
        Ok(())
    }

    /// Tells that a credential was taken, to whoever waits for one too.
    fn renew(&self, purpose: Purpose) {
        tracing::info!(mirror = %self.spec.id, purpose = purpose.as_str(), "a renewed credential is used from now on");
        self.metrics.rotated(purpose);
        let at = (self.now)();
        self.status
            .update_credential(&self.spec.id, purpose, |credential| {
                *credential = CredentialStatus {
                    renewed_at: Some(at),
                    problem: None,
                };
            });
        self.taken.send_modify(|taken| *taken += 1);
    }

    fn tell(&self, purpose: Purpose, news: News) {
        let mirror = &self.spec.id;
        let problem = match news {
            News::None => return,
            News::Problem(problem) => {
                tracing::warn!(%mirror, purpose = purpose.as_str(), problem,
                    "what stands in the place of a credential cannot be used; the former one stays in use");
                Some(problem)
            }
            News::Mended => {
                tracing::info!(%mirror, purpose = purpose.as_str(), "the credential that is in use stands in its place again");
                None
            }
        };
        self.status
            .update_credential(mirror, purpose, |credential| credential.problem = problem);
    }
}

impl Source {
    fn new(purpose: Purpose, parts: Vec<Part>) -> Self {
        let texts: Vec<SecretString> = parts.iter().map(|part| part.in_use.clone()).collect();
        Self {
            purpose,
            renewal: Renewal::new(fingerprint(&texts)),
            parts,
        }
    }

    fn took(&mut self, texts: Vec<SecretString>, fingerprint: Fingerprint) {
        self.renewal.took(fingerprint);
        for (part, text) in self.parts.iter_mut().zip(texts) {
            part.in_use = text;
        }
    }
}

/// Reads what stands there; again, if that is not what is in use, until it is twice the same.
fn settled(parts: &[Part]) -> Result<Vec<SecretString>, String> {
    let in_use: Vec<SecretString> = parts.iter().map(|part| part.in_use.clone()).collect();
    let same = |one: &Result<Vec<SecretString>, String>, other: &Result<Vec<SecretString>, String>| match (
        one, other,
    ) {
        (Ok(one), Ok(other)) => fingerprint(one) == fingerprint(other),
        (Err(one), Err(other)) => one == other,
        _ => false,
    };
    let mut before = Ok(in_use);
    let mut read = read(parts);
    for _ in 0..READS_MAX {
        if same(&before, &read) {
            return read;
        }
        std::thread::sleep(SETTLED_AFTER);
        before = std::mem::replace(&mut read, self::read(parts));
    }
    Err("it is being written all the time".to_owned())
}

fn read(parts: &[Part]) -> Result<Vec<SecretString>, String> {
    let read = parts.iter().map(|part| match part.reference.read_again() {
        None => Ok(part.in_use.clone()),
        Some(read) => read.map_err(|error| chain(&error)),
    });
    read.collect()
}

fn fingerprint(texts: &[SecretString]) -> Fingerprint {
    let mut digest = Sha256::new();
    for text in texts {
        let text = text.expose_secret().as_bytes();
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    }
    digest.finalize().into()
}

fn chain(error: &dyn std::error::Error) -> String {
    crate::app::chain(error)
}
