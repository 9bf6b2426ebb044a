//! A repository behind a Git server: reading it, and moving its branches, over whatever [`crate::link`] connects.
//!
//! gix has no push, and its transports hide what is needed here: the status and `Retry-After` of an answer, whether a
//! request may have been carried out, bounds on everything. The protocol itself is small.

pub(crate) mod advertisement;
pub(crate) mod fetch;
pub(crate) mod pktline;
mod push;
mod read;
pub(crate) mod send_pack;
mod sideband;
#[cfg(test)]
mod tests;
pub(crate) mod unpack;

use crate::{
    address::AddressPolicy,
    credential::Credential,
    error::{PushError, RemoteError},
    link::{
        Conversation, Link, Service, Timeouts,
        git_daemon::GitLink,
        http::{HttpLink, HttpSettings, ProxySettings},
        ssh::SshLink,
    },
    outgoing::PendingPush,
    ref_update::{PushMode, PushReport, RefUpdates},
    refname::RefName,
    remote::{FetchScope, Fetched, Remote, Visibility},
    repository_url::{RepositoryUrl, Scheme},
    store::Store,
    transport_error::TransportError,
};
use advertisement::{Advertisement, AdvertisementError};
use mirror_core::ids::Oid;
use pktline::{PacketError, PacketReader};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How a remote is talked to.
#[derive(Debug, Clone, Default)]
pub struct RemoteSettings {
    /// None reads, and pushes, without proving anything.
    pub credential: Option<Credential>,
    pub addresses: AddressPolicy,
    /// For HTTP; none connects directly, whatever the environment says.
    pub proxy: Option<ProxySettings>,
    /// Certificates to trust beside the system's, in PEM.
    pub certificates_pem: Vec<u8>,
    pub timeouts: Timeouts,
    pub limits: Limits,
}

/// How much a remote may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In one answer, as it is sent.
    pub answer_bytes_max: u64,
    /// In one answer, unpacked, in memory or put aside: the content of what is kept, and what each object takes beside.
    pub unpacked_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            answer_bytes_max: 1 << 30,
            unpacked_bytes_max: 2 << 30,
        }
    }
}

impl Limits {
    /// Returns how much an answer may have that holds no objects: what a server can do, where its refs are, what became of a
    /// push. A million refs take less.
    pub(crate) fn words_bytes_max(&self) -> u64 {
        self.answer_bytes_max.min(WORDS_BYTES_MAX)
    }
}

pub(crate) const WORDS_BYTES_MAX: u64 = 64 << 20;

/// A repository behind a Git server.
pub struct SmartRemote {
    name: String,
    link: Connection,
    limits: Limits,
    /// What the server said it can do, by service; asked anew after any error.
    reading: Mutex<Option<Arc<Advertisement>>>,
    writing: Mutex<Option<Arc<Advertisement>>>,
}

/// The link by its kind: only HTTP can be asked without credentials.
#[derive(Debug)]
pub(crate) enum Connection {
    Http(HttpLink),
    Ssh(SshLink),
    Git(GitLink),
}

impl Connection {
    pub(crate) fn link(&self) -> &dyn Link {
        match self {
            Self::Http(link) => link,
            Self::Ssh(link) => link,
            Self::Git(link) => link,
        }
    }
}

impl fmt::Debug for SmartRemote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmartRemote")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A conversation, what the server can do, and whether it has just said so.
type Talk<'r> = (Box<dyn Conversation + 'r>, Arc<Advertisement>, bool);

impl SmartRemote {
    /// Prepares to talk to a repository; nothing is sent yet.
    ///
    /// # Errors
    /// A scheme or address that is not allowed, or settings that cannot be used.
    pub fn new(url: &RepositoryUrl, settings: RemoteSettings) -> Result<Self, TransportError> {
        let RemoteSettings {
            credential,
            addresses,
            proxy,
            certificates_pem,
            timeouts,
            limits,
        } = settings;
        if !addresses.permits_scheme(url.scheme()) {
            return Err(TransportError::SchemeRefused {
                remote: url.to_string(),
                scheme: url.scheme(),
            });
        }
        let answer_bytes_max = limits.answer_bytes_max;
        let link = match url.scheme {
            Scheme::Https | Scheme::Http => {
                let settings = HttpSettings {
                    credential,
                    addresses,
                    proxy,
                    certificates_pem,
                    timeouts,
                    answer_bytes_max,
                };
                Connection::Http(HttpLink::new(url, settings)?)
            }
            Scheme::Ssh => {
                let link = SshLink::new(url.clone(), credential, addresses, timeouts, answer_bytes_max)?;
                Connection::Ssh(link)
            }
            Scheme::Git => Connection::Git(GitLink {
                url: url.clone(),
                addresses,
                timeouts,
                answer_bytes_max,
            }),
        };
        Ok(Self {
            name: url.to_string(),
            link,
            limits,
            reading: Mutex::default(),
            writing: Mutex::default(),
        })
    }

    /// Proves to the server by another credential who we are, from the next conversation on. One that is under way ends with
    /// what it was begun with.
    ///
    /// # Errors
    /// A credential that cannot be used here; then the former one stays.
    pub fn renew(&self, credential: Credential) -> Result<(), TransportError> {
        match &self.link {
            Connection::Http(link) => link.renew(credential)?,
            Connection::Ssh(link) => link.renew(credential)?,
            Connection::Git(_) => return Ok(()),
        }
        // Somebody else may be offered something else.
        self.forget(Service::UploadPack);
        self.forget(Service::ReceivePack);
        Ok(())
    }

    fn remembered(&self, service: Service) -> MutexGuard<'_, Option<Arc<Advertisement>>> {
        let slot = match service {
            Service::UploadPack => &self.reading,
            Service::ReceivePack => &self.writing,
        };
        slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts to talk to a service, without a new advertisement where the server need not give one again. The last
    /// value says whether it is new, so that its refs can be trusted.
    fn talk(&self, service: Service) -> Result<Talk<'_>, RemoteError> {
        // Before version 2 refs come with the advertisement only.
        let known = self.remembered(service).clone();
        let usable = known.filter(|known| known.version_2 || service == Service::ReceivePack);
        if let Some(known) = usable
            && let Some(conversation) = self.link.link().resume(service, known.version_2)
        {
            return Ok((conversation, known, false));
        }
        let (conversation, advertisement) = self.talk_anew(service)?;
        Ok((conversation, advertisement, true))
    }

    fn talk_anew(
        &self,
        service: Service,
    ) -> Result<(Box<dyn Conversation + '_>, Arc<Advertisement>), RemoteError> {
        // Pushing has no version 2.
        let version_2 = service == Service::UploadPack;
        let mut conversation = self.link.link().open(service, version_2)?;
        let read = Advertisement::read(&mut PacketReader::new(
            conversation.reader(),
            self.limits.words_bytes_max(),
        ));
        let advertisement = match read {
            Ok(advertisement) => advertisement,
            Err(error) => return Err(self.advertisement_error(conversation.as_mut(), error)),
        };
        // Where the refs were is no use afterwards, and a repository may have very many.
        *self.remembered(service) = Some(Arc::new(advertisement.without_refs()));
        Ok((conversation, Arc::new(advertisement)))
    }

    /// Returns where branches are, all from one request.
    fn tips(&self, refnames: &[&RefName]) -> Result<Vec<Option<Oid>>, RemoteError> {
        let prefixes: Vec<&str> = refnames.iter().map(|refname| refname.as_str()).collect();
        let refs = self.list_refs(&prefixes)?;
        let find = |name: &&str| refs.iter().find(|one| one.name == **name).map(|one| one.id);
        Ok(prefixes.iter().map(find).collect())
    }

    fn forget(&self, service: Service) {
        *self.remembered(service) = None;
    }

    fn advertisement_error(
        &self,
        conversation: &mut dyn Conversation,
        error: AdvertisementError,
    ) -> RemoteError {
        let remote = self.name.clone();
        match error {
            AdvertisementError::Packet(error) => self.packet_error(conversation, error).into(),
            AdvertisementError::Said(said) => self.said(&said).into(),
            AdvertisementError::Malformed(problem) => TransportError::Protocol {
                remote,
                problem: problem.to_owned(),
            }
            .into(),
            AdvertisementError::ObjectFormat(format) => RemoteError::NotARepository {
                remote,
                problem: format!(
                    "its object ids are {}, and only SHA-1 is supported; give a repository made with `git init --object-format=sha1`",
                    self.clean(&format)
                ),
            },
        }
    }

    fn packet_error(&self, conversation: &mut dyn Conversation, error: PacketError) -> TransportError {
        match error {
            PacketError::Io(error) => conversation.explain(error),
            PacketError::Malformed(problem) => TransportError::Protocol {
                remote: self.name.clone(),
                problem,
            },
            PacketError::TooMuch(bytes_max) => TransportError::AnswerTooLarge {
                remote: self.name.clone(),
                what: "data",
                bytes_max,
            },
        }
    }

    /// Says what an error means that a server gives in its own words.
    fn said(&self, said: &str) -> TransportError {
        let said = self.clean(said);
        crate::refusal::no_access_error(&self.name, &said).unwrap_or_else(|| TransportError::Unavailable {
            remote: self.name.clone(),
            retry_after: None,
            said,
        })
    }

    /// Makes a server's words fit to be shown.
    fn clean(&self, said: &str) -> String {
        // Not the other way round: what is shortened may end within a credential.
        crate::transport_error::clean(&self.link.link().without_secrets(said))
    }
}

impl Remote for SmartRemote {
    fn name(&self) -> &str {
        &self.name
    }

    fn tip(&self, refname: &RefName) -> Result<Option<Oid>, RemoteError> {
        Ok(self.tips(&[refname])?.remove(0))
    }

    fn branches(&self) -> Result<Vec<(RefName, Oid)>, RemoteError> {
        let refs = self.list_refs(&["refs/heads/"])?;
        let ordinary = refs.into_iter().filter(|one| !one.symbolic);
        // A name that could not be ours is nobody's that we ask about.
        let mut found: Vec<_> = ordinary
            .filter_map(|one| Some((RefName::parse(&one.name).ok()?, one.id)))
            .collect();
        found.sort();
        Ok(found)
    }

    fn fetch(&self, tip: Oid, store: &Store, scope: FetchScope) -> Result<Fetched, RemoteError> {
        self.fetch_into(tip, store, scope)
    }

    fn fetch_trees(&self, commits: &[Oid], store: &Store) -> Result<Fetched, RemoteError> {
        self.fetch_trees_into(commits, store)
    }

    fn fetch_history(&self, from: &[Oid], store: &Store, commits_max: usize) -> Result<Fetched, RemoteError> {
        self.fetch_history_into(from, store, commits_max)
    }

    fn read_blobs(&self, ids: &[Oid]) -> Result<Vec<Vec<u8>>, RemoteError> {
        self.fetch_blobs(ids)
    }

    fn update_refs(
        &self,
        updates: &RefUpdates,
        objects: Option<&PendingPush>,
        mode: &PushMode,
    ) -> Result<PushReport, PushError> {
        self.push_updates(updates, objects, mode)
    }

    fn visibility(&self) -> Result<Visibility, RemoteError> {
        let link = match &self.link {
            Connection::Http(link) => link,
            Connection::Git(_) => return Ok(Visibility::Public),
            Connection::Ssh(_) => return Ok(Visibility::Unknown),
        };
        Ok(link.visibility()?)
    }
}
