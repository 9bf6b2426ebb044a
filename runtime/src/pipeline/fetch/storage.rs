//! Buckets, tables and samples of a branch.
//!
//! A listing leaves out what a typed table is made of. So that a table looks the same whether it was listed
//! or asked for, a listing is followed by the details of its typed tables, a few at a time. A detail that is
//! held from a short time before serves if the listing says the same of its table, figures and times included.

use super::{
    super::observed::Observed,
    FetchError, Fetched, Outlet, Scope, Source,
    fetched::{self, Kind, plain},
};
use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use mirror_core::{
    finding::WithholdReason,
    ids::{BranchId, BucketId, ObjectKey, TableId},
    sample::SampleLimits,
};
use mirror_keboola::{Disposition, KeboolaError, PreviewRequest, Table, Unread};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

/// A larger preview is none: what is cut from it later has to pass the sandbox first.
const PREVIEW_BYTES_MAX: usize = 8 << 20;

/// A first sync holds so many bytes of tables until their samples are fetched; others are asked for again.
const TABLES_HELD_BYTES_MAX: usize = 8 << 20;

/// Details that are asked for at a time; the client may allow fewer.
const DETAILS_AT_A_TIME: usize = 8;

/// A table whose sample is to be fetched: the branch that it lies in, and itself while it is held.
struct ToSample {
    owner: BranchId,
    table: Option<Table>,
}

/// A typed table that was listed.
#[derive(Debug)]
pub struct Typed {
    owner: BranchId,
    table: TableId,
    /// Digest of what the listing says of it.
    listed: [u8; 32],
}

impl Typed {
    /// Returns the table if it is typed.
    pub fn of(owner: BranchId, table: &Table) -> Option<Self> {
        table.is_typed.then(|| Self {
            owner,
            table: table.id.clone(),
            listed: Sha256::digest(&table.source).into(),
        })
    }
}

impl Source {
    pub(super) async fn whole_storage(
        &self,
        id: &BranchId,
        scope: Scope,
        outlet: &mut Outlet,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        let mut observed = Observed::default();
        let (buckets, unread) = self.listed_buckets(id).await?;
        for Unread { id, detail } in unread {
            fetched.not_read(Kind::Buckets, id.map(ObjectKey::Bucket), detail);
        }
        for bucket in buckets {
            observed.see_bucket(bucket.id.clone(), &bucket.source);
            fetched.listed.insert(ObjectKey::Bucket(bucket.id.clone()));
            outlet
                .put(plain(ObjectKey::Bucket(bucket.id), bucket.source))
                .await;
        }
        // The first ones by id, so that the same ones are taken each time.
        let mut sampled: BTreeMap<TableId, ToSample> = BTreeMap::new();
        let mut held_bytes = 0;
        let mut tables = self.tables_of(id).await?;
        let mut typed = Vec::new();
        while let Some((owner, table)) = tables.next().await? {
            observed.see_table(table.id.clone(), &table.source, scope.samples.is_some());
            fetched.listed.insert(ObjectKey::Table(table.id.clone()));
            if let Some(table) = Typed::of(owner.clone(), &table) {
                typed.push(table);
            } else {
                let object = plain(ObjectKey::Table(table.id.clone()), table.source.clone());
                outlet.put(object).await;
            }
            let Some(limits) = scope.samples else { continue };
            let name = table.id.clone();
            held_bytes += table.source.len();
            let table = (held_bytes <= TABLES_HELD_BYTES_MAX).then_some(table);
            sampled.insert(name, ToSample { owner, table });
            if sampled.len() > limits.tables_max
                && let Some((last, _)) = sampled.pop_last()
            {
                fetched.without_sample(&last, fetched::TOO_MANY_TABLES);
            }
        }
        for Unread { id, detail } in std::mem::take(&mut tables.unread) {
            fetched.not_read(Kind::Tables, id.map(ObjectKey::Table), detail);
        }
        self.details(typed, (id, scope.now), outlet, fetched, &mut observed)
            .await?;
        fetched.observed = Some(observed);
        for (name, ToSample { owner, table }) in sampled {
            let Some(limits) = scope.samples else { break };
            let table = match table {
                Some(table) => table,
                None => match self.client.table(&owner, &name).await {
                    Ok(table) => table,
                    // It went away since it was listed.
                    Err(error) if error.disposition() == Disposition::Gone => continue,
                    Err(error) => return Err(error.into()),
                },
            };
            self.sample(&owner, &table, limits, fetched).await?;
            outlet.put_all(&mut fetched.objects).await;
        }
        Ok(())
    }

    /// Puts out the details of typed tables.
    async fn details(
        &self,
        typed: Vec<Typed>,
        (id, now): (&BranchId, Timestamp),
        outlet: &mut Outlet,
        fetched: &mut Fetched,
        observed: &mut Observed,
    ) -> Result<(), FetchError> {
        let details = stream::iter(typed).map(|typed| async move {
            let found = self.detail(&typed, now).await;
            (typed, found)
        });
        let mut details = std::pin::pin!(details.buffered(DETAILS_AT_A_TIME));
        while let Some((Typed { owner, table, .. }, found)) = details.next().await {
            let key = ObjectKey::Table(table.clone());
            match found {
                Ok(source) => {
                    if owner == *id {
                        observed.see_definition(table, &source);
                    }
                    outlet.put(plain(key, source.as_ref().clone())).await;
                }
                // It went away since it was listed; its own event will say so.
                Err(error) if error.disposition() == Disposition::Gone => {}
                Err(error) => fetched.isolate(key, true, Err(error.into()))?,
            }
        }
        Ok(())
    }

    /// Asks what typed tables are made of, each anew, and takes it in. One that cannot be had is left out.
    ///
    /// # Errors
    /// Any call that fails for another reason than its table.
    pub async fn definitions(
        &self,
        typed: Vec<Typed>,
        now: Timestamp,
        observed: &mut Observed,
    ) -> Result<(), FetchError> {
        let details = stream::iter(typed).map(|typed| async move {
            let found = self.ask_detail(&typed, now).await;
            (typed.table, found)
        });
        let mut details = std::pin::pin!(details.buffered(DETAILS_AT_A_TIME));
        while let Some((table, found)) = details.next().await {
            match found {
                Ok(detail) => observed.see_definition(table, &detail),
                Err(error) if error.disposition() == Disposition::Gone => {}
                Err(error) if fetched::is_about_one(&ObjectKey::Table(table.clone()), &error) => {
                    tracing::debug!(%table, error = crate::app::chain(&error), "what the table is made of cannot be had");
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn detail(&self, typed: &Typed, now: Timestamp) -> Result<Arc<String>, KeboolaError> {
        let Typed { owner, table, listed } = typed;
        if let Some(held) = self.cache.table(owner, table, listed, now) {
            return Ok(held);
        }
        self.ask_detail(typed, now).await
    }

    async fn ask_detail(&self, typed: &Typed, now: Timestamp) -> Result<Arc<String>, KeboolaError> {
        let Typed { owner, table, listed } = typed;
        let detail = Arc::new(self.client.table(owner, table).await?.source);
        self.cache.put_table(owner, table, *listed, &detail, now);
        Ok(detail)
    }

    /// Fetches tables with their buckets, and other buckets.
    pub(super) async fn tables(
        &self,
        branch: &BranchId,
        wanted: &BTreeSet<TableId>,
        mut buckets: BTreeSet<BucketId>,
        scope: Scope,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        for id in wanted {
            self.progress.moved(Instant::now());
            let bucket = id.as_str().rsplit_once('.');
            buckets.extend(bucket.and_then(|(bucket, _)| BucketId::parse(bucket).ok()));
            match self.table_of(branch, id).await {
                Ok((owner, table)) => {
                    if let Some(limits) = scope.samples {
                        self.sample(&owner, &table, limits, fetched).await?;
                    }
                    fetched
                        .objects
                        .push(plain(ObjectKey::Table(table.id.clone()), table.source));
                }
                Err(error) if error.disposition() == Disposition::Gone => {
                    fetched.tables_gone.insert(id.clone());
                }
                Err(error) => fetched.isolate(ObjectKey::Table(id.clone()), true, Err(error.into()))?,
            }
        }
        if !buckets.is_empty() {
            let (listed, unread) = self.listed_buckets(branch).await?;
            for bucket in listed {
                if buckets.remove(&bucket.id) {
                    fetched
                        .objects
                        .push(plain(ObjectKey::Bucket(bucket.id), bucket.source));
                }
            }
            // What is not shown because it cannot be read is not gone.
            for Unread { id, detail } in unread {
                match id {
                    Some(id) if !buckets.remove(&id) => {}
                    Some(id) => {
                        let reason = WithholdReason::Source { detail };
                        fetched.refused.insert(ObjectKey::Bucket(id), reason);
                    }
                    None => buckets.clear(),
                }
            }
            fetched.buckets_gone = buckets;
        }
        Ok(())
    }

    async fn sample(
        &self,
        branch: &BranchId,
        table: &Table,
        limits: SampleLimits,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        let request = PreviewRequest::of(table, limits.rows_max);
        match self.client.preview(branch, &request).await {
            Ok(preview) if preview.csv.len() > PREVIEW_BYTES_MAX => {
                fetched.without_sample(&table.id, "the preview is larger than 8 MiB");
            }
            Ok(preview) if preview.csv.trim().is_empty() => {
                fetched.without_sample(&table.id, "the table has no columns yet");
            }
            Ok(preview) => {
                let source = format!(
                    "{{\"table\":{},\"csv\":{}}}",
                    table.source,
                    serde_json::Value::String(preview.csv)
                );
                fetched.sampled.insert(table.id.clone());
                fetched
                    .objects
                    .push(plain(ObjectKey::Sample(table.id.clone()), source));
            }
            // A table that cannot be previewed has no sample; its structure is mirrored all the same.
            Err(error) if matches!(error.disposition(), Disposition::Gone | Disposition::Permanent) => {
                fetched.without_sample(&table.id, "the preview was refused");
                fetched.warn(
                    ObjectKey::Sample(table.id.clone()),
                    crate::app::chain(&error),
                    "no sample: the preview was refused",
                );
            }
            // A token that may not read the data of some tables.
            Err(error @ KeboolaError::Forbidden { .. }) => {
                fetched.without_sample(&table.id, "the token may not read the table's data");
                fetched.warn(
                    ObjectKey::Sample(table.id.clone()),
                    crate::app::chain(&error),
                    "no sample: the token may not read the data",
                );
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
