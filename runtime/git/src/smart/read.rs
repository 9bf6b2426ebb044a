//! Reading a remote: its refs, and as few of its objects as will do.

use super::{
    SmartRemote,
    advertisement::Advertisement,
    fetch::{self, Announced, AnswerError, Filter, ListedRef, PackParts, Wanted},
    pktline::PacketReader,
    unpack::{Blobs, NODE_BYTES_MAX, NotUnpacked, UnpackError, Unpacked, unpack},
};
use crate::{
    bringing::{Bringing, Origin},
    data::Place,
    error::{RemoteError, StoreError},
    link::{Conversation, Piece, SendError, Service},
    objects::Source,
    remote::{FetchScope, Fetched},
    store::{Held, Known, Store},
    transport_error::TransportError,
};
use gix::objs::Kind;
use mirror_core::ids::Oid;
use std::collections::HashSet;

/// So many ids are asked for in one request.
const IDS_MAX: usize = 500;
/// Without a filter every commit comes with all its files, so not many are asked for.
const UNFILTERED_COMMITS_MAX: usize = 32;

/// What a fetch brought, before it is in the store.
struct FromRemote<'r> {
    remote: &'r str,
    objects: Unpacked,
    shallow: HashSet<Oid>,
}

impl Source for FromRemote<'_> {
    fn find(&self, id: Oid) -> Result<Option<(Kind, Vec<u8>)>, StoreError> {
        Ok(self.objects.find(id)?)
    }
}

impl Origin for FromRemote<'_> {
    fn remote_name(&self) -> &str {
        self.remote
    }

    fn is_shallow(&self, commit: Oid) -> Result<bool, RemoteError> {
        // Nor was anything promised of one that was here before and is not part of the answer.
        Ok(self.shallow.contains(&commit) || !self.objects.contains(commit))
    }

    fn contains(&self, id: Oid) -> Result<bool, RemoteError> {
        Ok(self.objects.contains(id))
    }
}

/// Objects that the server does not hand out; none where it does not say which.
struct NotThere(Option<Oid>);

impl SmartRemote {
    pub(super) fn list_refs(&self, prefixes: &[&str]) -> Result<Vec<ListedRef>, RemoteError> {
        let (mut conversation, server, _) = self.talk(Service::UploadPack)?;
        if !server.version_2 {
            let symbolic: HashSet<&str> = server.symbolic().collect();
            let is_wanted = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
            let refs = server.refs.iter().filter(|(name, _)| is_wanted(name));
            let listed = refs.map(|(name, id)| ListedRef {
                name: name.clone(),
                id: *id,
                symbolic: symbolic.contains(name.as_str()),
            });
            return Ok(listed.collect());
        }
        let request = fetch::list_refs_request(&server, prefixes);
        let bytes_max = self.limits.words_bytes_max();
        let answer = self.ask(conversation.as_mut(), request, bytes_max, fetch::read_refs)?;
        answer.map_err(|NotThere(_)| self.unexpected("it has no refs"))
    }

    /// Sends a request and reads its answer, of at most so many bytes.
    fn ask<T>(
        &self,
        conversation: &mut dyn Conversation,
        request: Vec<u8>,
        bytes_max: u64,
        read: impl FnOnce(&mut PacketReader<'_>) -> Result<T, AnswerError>,
    ) -> Result<Result<T, NotThere>, RemoteError> {
        conversation.bound(bytes_max);
        let sent = conversation.send(vec![Piece::from(request)]);
        let sent = sent.map_err(|SendError { error, .. }| error);
        let answer = sent.map(|()| read(&mut PacketReader::new(conversation.reader(), bytes_max)));
        let error = match answer {
            Ok(Ok(answer)) => return Ok(Ok(answer)),
            Ok(Err(AnswerError::Said(said))) => match fetch::not_ours(&said) {
                Some(id) => return Ok(Err(NotThere(id))),
                None => self.said(&said),
            },
            Ok(Err(AnswerError::Malformed(problem))) => TransportError::Protocol {
                remote: self.name.clone(),
                problem: problem.to_owned(),
            },
            Ok(Err(AnswerError::Packet(error))) => self.packet_error(conversation, error),
            Err(error) => error,
        };
        // What the server can do may have changed with whatever went wrong.
        self.forget(Service::UploadPack);
        Err(error.into())
    }

    fn unexpected(&self, problem: &str) -> RemoteError {
        let remote = self.name.clone();
        let problem = problem.to_owned();
        TransportError::Protocol { remote, problem }.into()
    }

    /// Asks for objects, and takes them apart while they come: many of them are put aside at `place`. Where the server has no
    /// filter everything comes, and what is not wanted is dropped here.
    fn objects(
        &self,
        wanted: &Wanted,
        blobs: Blobs,
        place: &Place,
    ) -> Result<Result<FromRemote<'_>, NotThere>, RemoteError> {
        let (mut conversation, server, _) = self.talk(Service::UploadPack)?;
        let wanted = possible(&server, wanted);
        let request = match server.version_2 {
            true => fetch::request_v2(&server, &wanted),
            false => fetch::request_v0(&server, &wanted),
        };
        let bytes_max = self.limits.answer_bytes_max;
        let answer = self.ask(conversation.as_mut(), request, bytes_max, |packets| {
            let Announced { shallow } = match server.version_2 {
                true => fetch::read_v2(packets)?,
                false => fetch::read_v0(packets, &wanted)?,
            };
            let mut parts = PackParts::new(packets);
            let unpacked = unpack(&mut || parts.next(), blobs, self.limits.unpacked_bytes_max, place);
            match parts.failed() {
                // Whatever the pack lacks, this is why.
                Some(error) => Err(error),
                None => Ok((unpacked, shallow)),
            }
        })?;
        let (unpacked, shallow) = match answer {
            Ok(answer) => answer,
            Err(not_there) => return Ok(Err(not_there)),
        };
        let objects = unpacked.map_err(|error| self.not_unpacked(error))?;
        Ok(Ok(FromRemote {
            remote: &self.name,
            objects,
            shallow,
        }))
    }

    fn not_unpacked(&self, error: NotUnpacked) -> RemoteError {
        match error {
            NotUnpacked::Pack(error) => self.unpack_error(error),
            NotUnpacked::Disk(error) => StoreError::from(error).into(),
        }
    }

    fn unpack_error(&self, error: UnpackError) -> RemoteError {
        let remote = self.name.clone();
        match error {
            UnpackError::Damaged(problem) => RemoteError::Damaged {
                remote,
                problem: problem.to_owned(),
            },
            UnpackError::TooLargeObject => RemoteError::Transport(TransportError::AnswerTooLarge {
                remote,
                what: "a single commit or tree",
                bytes_max: NODE_BYTES_MAX,
            }),
            UnpackError::TooLarge => RemoteError::Transport(TransportError::AnswerTooLarge {
                remote,
                what: "objects",
                bytes_max: self.limits.unpacked_bytes_max,
            }),
        }
    }

    fn missing(&self, id: Oid) -> RemoteError {
        RemoteError::Missing {
            remote: self.name.clone(),
            id,
        }
    }

    pub(super) fn fetch_into(
        &self,
        tip: Oid,
        store: &Store,
        scope: FetchScope,
    ) -> Result<Fetched, RemoteError> {
        let (commits_max, with_trees) = match scope {
            FetchScope::CommitsOnly { commits_max } => (commits_max.max(1), false),
            FetchScope::TreesOnly { commits_max } => (commits_max.max(1), true),
        };
        let held = store.hold();
        let known = match store.known(tip) {
            None if with_trees => store.recall(&held, tip)?,
            known => known,
        };
        if known.is_some_and(|known| known.commits >= commits_max) {
            return Bringing::new(&self.nothing(), store).finish(None);
        }
        let place = &store.place();
        let trees_here = known.is_some() || !with_trees;
        // Trees of the tip only, but as many commits as were asked for.
        let mut brought = if trees_here {
            self.require_objects(&Wanted::commits(tip, commits_max), tip, place)?
        } else {
            let have = store.any_known(&held)?.map(|known| known.tip);
            let mut brought = self.require_objects(&Wanted::trees(&[tip], have), tip, place)?;
            if commits_max > 1 {
                let commits = self.require_objects(&Wanted::commits(tip, commits_max), tip, place)?;
                brought.objects.extend(commits.objects);
                brought.shallow = commits.shallow;
            }
            brought
        };
        match self.bring(&brought, tip, store, commits_max, with_trees) {
            // The server took us to have more than we said; then everything comes anew.
            Err(RemoteError::Missing { .. }) if !trees_here => {
                let whole = self.require_objects(&Wanted::trees(&[tip], None), tip, place)?;
                brought.objects.extend(whole.objects);
                self.bring(&brought, tip, store, commits_max, with_trees)
            }
            outcome => outcome,
        }
    }

    fn bring(
        &self,
        from: &FromRemote<'_>,
        tip: Oid,
        store: &Store,
        commits_max: usize,
        with_trees: bool,
    ) -> Result<Fetched, RemoteError> {
        let mut bringing = Bringing::new(from, store);
        let commits = bringing.first_parents(tip, commits_max)?;
        let tree = match store.known(tip) {
            Some(known) => Some(known.tree),
            None if with_trees => Some(bringing.trees(tip)?),
            None => None,
        };
        bringing.finish(tree.map(|tree| Known {
            tip,
            tree,
            commits,
            fetched: true,
        }))
    }

    fn nothing(&self) -> FromRemote<'_> {
        FromRemote {
            remote: &self.name,
            objects: Unpacked::default(),
            shallow: HashSet::new(),
        }
    }

    fn require_objects(
        &self,
        wanted: &Wanted,
        tip: Oid,
        place: &Place,
    ) -> Result<FromRemote<'_>, RemoteError> {
        let objects = self.objects(wanted, Blobs::Skip, place)?;
        objects.map_err(|NotThere(id)| self.missing(id.unwrap_or(tip)))
    }

    pub(super) fn fetch_trees_into(&self, commits: &[Oid], store: &Store) -> Result<Fetched, RemoteError> {
        let held = store.hold();
        let wanted = commits.iter().copied();
        let wanted: Vec<Oid> = wanted.filter(|id| store.known(*id).is_none()).collect();
        let (mut wanted, mut at_once) = (wanted.as_slice(), IDS_MAX);
        let mut fetched = Fetched::default();
        while !wanted.is_empty() {
            let ids = &wanted[..at_once.min(wanted.len())];
            match self.fetch_trees_at_once(ids, store, &held) {
                Ok((part, commits)) => {
                    fetched.objects += part.objects;
                    fetched.bytes += part.bytes;
                    wanted = &wanted[commits..];
                }
                Err(RemoteError::Transport(TransportError::AnswerTooLarge { .. })) if ids.len() > 1 => {
                    at_once = ids.len() / 2;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(fetched)
    }

    /// Brings the first ones of these commits; says how many, at least one.
    fn fetch_trees_at_once(
        &self,
        ids: &[Oid],
        store: &Store,
        held: &Held<'_>,
    ) -> Result<(Fetched, usize), RemoteError> {
        let (have, place) = (store.any_known(held)?.map(|known| known.tip), &store.place());
        let mut brought = self.require_objects(&Wanted::trees(ids, have), ids[0], place)?;
        // Without a filter not all were asked for.
        let came = ids.iter().take_while(|id| brought.objects.contains(**id));
        let ids = &ids[..came.count().max(1)];
        let fetched = match Bringing::new(&brought, store).commits_with_trees(ids) {
            // The server took us to have more than we said; then everything comes anew.
            Err(RemoteError::Missing { .. }) if have.is_some() => {
                let whole = self.require_objects(&Wanted::trees(ids, None), ids[0], place)?;
                brought.objects.extend(whole.objects);
                Bringing::new(&brought, store).commits_with_trees(ids)?
            }
            outcome => outcome?,
        };
        Ok((fetched, ids.len()))
    }

    pub(super) fn fetch_history_into(
        &self,
        from: &[Oid],
        store: &Store,
        commits_max: usize,
    ) -> Result<Fetched, RemoteError> {
        let _held = store.hold();
        let wanted: Vec<Oid> = from.iter().copied().filter(|id| !store.contains(*id)).collect();
        let mut brought = self.nothing();
        for ids in wanted.chunks(IDS_MAX) {
            self.add_histories(ids.to_vec(), commits_max, &mut brought, &store.place())?;
        }
        Bringing::new(&brought, store).history(&wanted, commits_max)
    }

    /// Asks for the histories of those commits that the server has.
    fn add_histories(
        &self,
        mut ids: Vec<Oid>,
        commits_max: usize,
        brought: &mut FromRemote<'_>,
        place: &Place,
    ) -> Result<(), RemoteError> {
        while !ids.is_empty() {
            let wanted = Wanted {
                ids: ids.clone(),
                depth: Some(commits_max.max(1)),
                filter: Some(Filter::NoTrees),
                have: None,
            };
            match self.objects(&wanted, Blobs::Skip, place)? {
                Ok(found) => {
                    brought.objects.extend(found.objects);
                    brought.shallow.extend(found.shallow);
                    return Ok(());
                }
                // What it does not have is passed over.
                Err(NotThere(Some(id))) if ids.contains(&id) => ids.retain(|wanted| *wanted != id),
                Err(NotThere(_)) if ids.len() == 1 => return Ok(()),
                Err(NotThere(_)) => {
                    for id in ids {
                        self.add_histories(vec![id], commits_max, brought, place)?;
                    }
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    pub(super) fn fetch_blobs(&self, ids: &[Oid]) -> Result<Vec<Vec<u8>>, RemoteError> {
        let mut found = Unpacked::default();
        let mut wanted: Vec<Oid> = Vec::new();
        for id in ids {
            if !wanted.contains(id) {
                wanted.push(*id);
            }
        }
        for ids in wanted.chunks(IDS_MAX) {
            let wanted = Wanted {
                ids: ids.to_vec(),
                ..Wanted::default()
            };
            match self.objects(&wanted, Blobs::Keep, &Place::default())? {
                Ok(brought) => found.extend(brought.objects),
                // A server that hands out nothing by id, or does not have it.
                Err(NotThere(_)) => {
                    found.extend(self.everything_at_the_tips()?.objects);
                }
            }
        }
        let find = |id| found.find(id).map_err(StoreError::from);
        let blob = |id: &Oid| match find(*id)? {
            Some((Kind::Blob, content)) => Ok(content),
            Some(_) => Err(crate::bringing::object_error(
                &self.name,
                StoreError::wrong_kind(*id, Kind::Blob),
            )),
            None => Err(self.missing(*id)),
        };
        ids.iter().map(blob).collect()
    }

    /// Asks for all files of all branches as they are now: the costly way to a blob.
    fn everything_at_the_tips(&self) -> Result<FromRemote<'_>, RemoteError> {
        let mut ids: Vec<Oid> = self
            .list_refs(&["refs/heads/"])?
            .into_iter()
            .map(|one| one.id)
            .collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Ok(self.nothing());
        }
        let wanted = Wanted {
            ids,
            depth: Some(1),
            ..Wanted::default()
        };
        let everything = self.objects(&wanted, Blobs::Keep, &Place::default())?;
        everything.map_err(|NotThere(id)| match id {
            Some(id) => self.missing(id),
            None => self.unexpected("it does not hand out what it lists"),
        })
    }
}

impl Wanted {
    fn commits(tip: Oid, commits_max: usize) -> Self {
        Self {
            ids: vec![tip],
            have: None,
            depth: Some(commits_max),
            filter: Some(Filter::NoTrees),
        }
    }

    fn trees(commits: &[Oid], have: Option<Oid>) -> Self {
        Self {
            ids: commits.to_vec(),
            have: have.filter(|have| !commits.contains(have)),
            depth: Some(1),
            filter: Some(Filter::NoBlobs),
        }
    }
}

/// Leaves out of a request what the server cannot do, and all but the first commits where their files come too.
fn possible(server: &Advertisement, wanted: &Wanted) -> Wanted {
    let has = |feature: &str| {
        if server.version_2 {
            server.has_feature("fetch", feature)
        } else {
            server.has(feature)
        }
    };
    let mut wanted = wanted.clone();
    if !has("filter") {
        match wanted.filter.take() {
            Some(Filter::NoTrees) => {
                wanted.depth = wanted.depth.map(|depth| depth.min(UNFILTERED_COMMITS_MAX));
            }
            Some(Filter::NoBlobs) => wanted.ids.truncate(UNFILTERED_COMMITS_MAX),
            None => {}
        }
    }
    if !has("shallow") {
        (wanted.depth, wanted.have) = (None, None);
    }
    // A depth is a signed number of 32 bits at the other end, and this much is everything.
    wanted.depth = wanted.depth.map(|depth| depth.min(0x7fff_fff0));
    wanted
}
