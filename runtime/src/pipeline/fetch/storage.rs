//! Buckets, tables and samples of a branch.
//!
//! A listing leaves out what a typed table is made of. So that a table looks the same whether it was listed
//! or asked for, a listing is followed by the details of its typed tables, a few at a time. A detail that is
//! held from before serves as long as the listing says the same of its table, figures and times included.

use super::{
    FetchError, Fetched, Outlet, Scope, Source,
    fetched::{self, plain},
};
use futures_util::stream::{self, StreamExt};
use mirror_core::{
    ids::{BranchId, ObjectKey, TableId},
    sample::SampleLimits,
};
use mirror_keboola::{Disposition, KeboolaError, PreviewRequest, Table};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
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
struct Typed {
    owner: BranchId,
    table: TableId,
    /// Digest of what the listing says of it.
    listed: [u8; 32],
}

impl Source {
    pub(super) async fn whole_storage(
        &self,
        id: &BranchId,
        scope: Scope,
        outlet: &mut Outlet,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        for bucket in self.buckets(id).await? {
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
            if table.is_typed {
                typed.push(Typed {
                    owner: owner.clone(),
                    table: table.id.clone(),
                    listed: Sha256::digest(&table.source).into(),
                });
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
        self.details(typed, outlet, fetched).await?;
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
        outlet: &mut Outlet,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        let details = stream::iter(typed).map(|typed| async move {
            let found = self.detail(&typed).await;
            (typed.table, found)
        });
        let mut details = std::pin::pin!(details.buffered(DETAILS_AT_A_TIME));
        while let Some((table, found)) = details.next().await {
            let key = ObjectKey::Table(table);
            match found {
                Ok(source) => outlet.put(plain(key, source.as_ref().clone())).await,
                // It went away since it was listed; its own event will say so.
                Err(error) if error.disposition() == Disposition::Gone => {}
                Err(error) => fetched.isolate(key, true, Err(error.into()))?,
            }
        }
        Ok(())
    }

    async fn detail(&self, typed: &Typed) -> Result<Arc<String>, KeboolaError> {
        let Typed { owner, table, listed } = typed;
        if let Some(held) = self.cache.table(owner, table, listed) {
            return Ok(held);
        }
        let detail = Arc::new(self.client.table(owner, table).await?.source);
        self.cache.put_table(owner, table, *listed, &detail);
        Ok(detail)
    }

    pub(super) async fn tables(
        &self,
        branch: &BranchId,
        wanted: &BTreeSet<TableId>,
        scope: Scope,
        fetched: &mut Fetched,
    ) -> Result<(), FetchError> {
        let mut buckets = BTreeSet::new();
        for id in wanted {
            match self.table_of(branch, id).await {
                Ok((owner, table)) => {
                    if let Some(limits) = scope.samples {
                        self.sample(&owner, &table, limits, fetched).await?;
                    }
                    fetched
                        .objects
                        .push(plain(ObjectKey::Table(table.id.clone()), table.source));
                    buckets.extend(id.as_str().rsplit_once('.').map(|(bucket, _)| bucket.to_owned()));
                }
                Err(error) if error.disposition() == Disposition::Gone => {
                    fetched.tables_gone.insert(id.clone());
                }
                Err(error) => fetched.isolate(ObjectKey::Table(id.clone()), true, Err(error.into()))?,
            }
        }
        if !buckets.is_empty() {
            for bucket in self.buckets(branch).await? {
                if buckets.contains(bucket.id.as_str()) {
                    fetched
                        .objects
                        .push(plain(ObjectKey::Bucket(bucket.id), bucket.source));
                }
            }
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
                tracing::warn!(table = %table.id, error = crate::app::chain(&error), "no sample: the preview was refused");
            }
            // A token that may not read the data of some tables.
            Err(error @ KeboolaError::Forbidden { .. }) => {
                fetched.without_sample(&table.id, "the token may not read the table's data");
                tracing::warn!(table = %table.id, error = crate::app::chain(&error), "no sample: the token may not read the data");
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
