//! The calls, each one line of what the API documents.

use crate::{
    Bucket, ClientConfig, ComponentConfigurations, ComponentInfo, ConfigurationDetail, ConfigurationMetadata,
    DevBranch, Index, Item, ItemStream, Job, JobPages, JobSearch, KeboolaError, ListedConfiguration,
    Metadata, Preview, PreviewRequest, Revision, StorageEvent, Table, TokenInfo,
    config::parse_origin,
    http::{Http, Request},
    job::JobsPage,
    json::{Problem, items},
    text::Text,
};
use mirror_core::ids::{BranchId, BucketId, ComponentId, ConfigId, TableId};
use reqwest::Url;
use secrecy::SecretString;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Versions of one page.
const VERSIONS_PAGE: u32 = 100;

/// A client of one project: the one of its token. Clones share limits and connections.
///
/// Every call may fail as [`KeboolaError`] says, after its retries.
#[derive(Debug, Clone)]
pub struct KeboolaClient(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    http: Http,
    storage: Url,
    queue: OnceCell<Url>,
}

impl KeboolaClient {
    /// Makes a client; nothing is sent yet.
    ///
    /// # Errors
    /// A setting that cannot work, such as plain `http` to another machine.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the token in it should not stay with the caller"
    )]
    pub fn new(config: ClientConfig) -> Result<Self, KeboolaError> {
        let (http, storage) = Http::new(&config)?;
        Ok(Self(Arc::new(Inner {
            http,
            storage,
            queue: OnceCell::new(),
        })))
    }

    /// Sends another token from now on, in this client and all its clones. A request that is under way ends with the one
    /// that it was begun with; its repetitions, and what follows it, have the new one.
    ///
    /// Nothing is asked: that the token is of the same project is the caller's affair ([`Self::verify_token`] of a client
    /// of its own).
    ///
    /// # Errors
    /// A token that no request can carry; then the former one stays.
    pub fn renew_token(&self, token: &SecretString) -> Result<(), KeboolaError> {
        self.0.http.renew_token(token)
    }

    /// Finds the addresses of the services. Other calls do it when they first need one.
    ///
    /// # Errors
    /// As any call, and an index without the service `queue`.
    pub async fn connect(&self) -> Result<(), KeboolaError> {
        self.queue().await.map(|_| ())
    }

    /// Asks who the token is.
    pub async fn verify_token(&self) -> Result<TokenInfo, KeboolaError> {
        self.get(
            self.storage("token verification", &["tokens", "verify"], &[])?,
            TokenInfo::parse,
        )
        .await
    }

    /// Asks for the stack's index with all components in full.
    pub async fn index(&self) -> Result<Index, KeboolaError> {
        self.get(self.storage("the index", &[], &[])?, Index::parse).await
    }

    /// Asks for something of the Storage API by its path below `v2/storage`, and returns the answer's text as received.
    pub async fn answer(&self, path: &[&str], query: &[(&str, &str)]) -> Result<String, KeboolaError> {
        let what = format!("`{}`", path.join("/"));
        self.get(self.storage(what, path, query)?, |text| Ok(text.to_owned()))
            .await
    }

    /// Asks for one component's definition.
    pub async fn component(&self, component: &ComponentId) -> Result<ComponentInfo, KeboolaError> {
        let what = format!("component {component}");
        self.get(
            self.storage(what, &["components", component.as_str()], &[])?,
            ComponentInfo::parse,
        )
        .await
    }

    /// Asks for all branches, the default one among them.
    pub async fn dev_branches(&self) -> Result<Vec<Item<DevBranch, BranchId>>, KeboolaError> {
        self.get_list(
            self.storage("the branches", &["dev-branches"], &[])?,
            DevBranch::parse_list,
        )
        .await
    }

    /// Asks for all configurations of a branch with their rows, component by component. The answer
    /// can be large: memory holds one component at a time.
    pub async fn configurations(
        &self,
        branch: &BranchId,
    ) -> Result<ItemStream<Item<ComponentConfigurations, ComponentId>>, KeboolaError> {
        let what = format!("all configurations of branch {branch}");
        let include = [("include", "configuration,rows")];
        let request = self.storage(what, &["branch", branch.as_str(), "components"], &include)?;
        self.0
            .http
            .open(request, ComponentConfigurations::parse_item)
            .await
    }

    /// Asks for the current version of each configuration of a branch, without content.
    pub async fn list_configurations(
        &self,
        branch: &BranchId,
    ) -> Result<Vec<ListedConfiguration>, KeboolaError> {
        self.light_list(format!("the versions in branch {branch}"), branch, &[])
            .await
    }

    /// Asks for the configurations in a branch's trash.
    pub async fn list_deleted(&self, branch: &BranchId) -> Result<Vec<ListedConfiguration>, KeboolaError> {
        self.light_list(
            format!("the trash of branch {branch}"),
            branch,
            &[("isDeleted", "true")],
        )
        .await
    }

    /// Asks for the current version of one configuration with its rows.
    pub async fn configuration(
        &self,
        branch: &BranchId,
        component: &ComponentId,
        config: &ConfigId,
    ) -> Result<ConfigurationDetail, KeboolaError> {
        let request = self.of_config(branch, component, config, &[], &[])?;
        self.get(request, |text| ConfigurationDetail::parse(component, text))
            .await
    }

    /// Asks for one page of a configuration's versions, newest first.
    pub async fn versions(
        &self,
        branch: &BranchId,
        component: &ComponentId,
        config: &ConfigId,
        limit: u32,
        offset: u32,
    ) -> Result<Vec<Revision>, KeboolaError> {
        let page = [("limit", &*limit.to_string()), ("offset", &*offset.to_string())];
        let request = self.of_config(branch, component, config, &["versions"], &page)?;
        self.get(request, |text| {
            let versions = items(text.into())?.into_iter();
            versions.map(|text| Revision::parse(text.raw())).collect()
        })
        .await
    }

    /// Asks for the versions above a known one, oldest first, page by page.
    pub async fn versions_above(
        &self,
        branch: &BranchId,
        component: &ComponentId,
        config: &ConfigId,
        known: u64,
    ) -> Result<Vec<Revision>, KeboolaError> {
        let mut newer: Vec<Revision> = Vec::new();
        let mut offset = 0;
        loop {
            let page = self
                .versions(branch, component, config, VERSIONS_PAGE, offset)
                .await?;
            let is_last =
                page.len() < VERSIONS_PAGE as usize || page.iter().any(|item| item.version <= known);
            newer.extend(page.into_iter().filter(|item| item.version > known));
            if is_last {
                break;
            }
            offset += VERSIONS_PAGE;
        }
        // A version made between two pages shifts them by one.
        newer.sort_by_key(|item| item.version);
        newer.dedup_by_key(|item| item.version);
        Ok(newer)
    }

    /// Asks for a past version, with its rows, of a configuration whose current version was asked for: what
    /// is the same at all versions is not told again with a past one.
    pub async fn configuration_version(
        &self,
        branch: &BranchId,
        current: &ConfigurationDetail,
        version: u64,
    ) -> Result<ConfigurationDetail, KeboolaError> {
        let ConfigurationDetail { component_id, id, .. } = current;
        let path = ["versions", &version.to_string()];
        let request = self.of_config(branch, component_id, id, &path, &[])?;
        self.get(request, |text| current.parse_version(text)).await
    }

    /// Asks for the metadata of one configuration.
    pub async fn configuration_metadata(
        &self,
        branch: &BranchId,
        component: &ComponentId,
        config: &ConfigId,
    ) -> Result<Vec<Metadata>, KeboolaError> {
        self.get(
            self.of_config(branch, component, config, &["metadata"], &[])?,
            metadata_list,
        )
        .await
    }

    /// Asks for the metadata of all configurations of a branch that have some.
    pub async fn configurations_metadata(
        &self,
        branch: &BranchId,
    ) -> Result<Vec<Item<ConfigurationMetadata, (ComponentId, ConfigId)>>, KeboolaError> {
        let what = format!("the configurations' metadata in branch {branch}");
        let path = ["branch", branch.as_str(), "search", "component-configurations"];
        let request = self.storage(what, &path, &[("include", "filteredMetadata")])?;
        self.0
            .http
            .list(&request, ConfigurationMetadata::parse_item)
            .await
    }

    /// Asks for a branch's own metadata.
    pub async fn branch_metadata(&self, branch: &BranchId) -> Result<Vec<Metadata>, KeboolaError> {
        let what = format!("the metadata of branch {branch}");
        self.get(
            self.storage(what, &["branch", branch.as_str(), "metadata"], &[])?,
            metadata_list,
        )
        .await
    }

    /// Asks for all buckets.
    pub async fn buckets(&self, branch: &BranchId) -> Result<Vec<Item<Bucket, BucketId>>, KeboolaError> {
        let what = format!("the buckets of branch {branch}");
        let include = [("include", "metadata,linkedBuckets")];
        let request = self.storage(what, &["branch", branch.as_str(), "buckets"], &include)?;
        self.get_list(request, Bucket::parse_list).await
    }

    /// Asks for all tables with columns and metadata, one at a time.
    pub async fn tables(&self, branch: &BranchId) -> Result<ItemStream<Item<Table, TableId>>, KeboolaError> {
        let what = format!("the tables of branch {branch}");
        let include = [("include", "buckets,columns,metadata,columnMetadata")];
        let request = self.storage(what, &["branch", branch.as_str(), "tables"], &include)?;
        self.0.http.open(request, Table::parse_item).await
    }

    /// Asks for one table.
    pub async fn table(&self, branch: &BranchId, table: &TableId) -> Result<Table, KeboolaError> {
        let what = format!("table {table} in branch {branch}");
        let path = ["branch", branch.as_str(), "tables", table.as_str()];
        self.get(self.storage(what, &path, &[])?, Table::parse).await
    }

    /// Asks for the first rows of a table; if all columns are refused, for fewer.
    pub async fn preview(&self, branch: &BranchId, wanted: &PreviewRequest) -> Result<Preview, KeboolaError> {
        match self.preview_once(branch, wanted).await {
            Ok(csv) => Ok(Preview {
                csv,
                is_narrowed: false,
            }),
            Err(refused @ KeboolaError::Rejected { .. }) => match wanted.narrowed() {
                Some(fewer) => Ok(Preview {
                    csv: self.preview_once(branch, &fewer).await?,
                    is_narrowed: true,
                }),
                None => Err(refused),
            },
            Err(error) => Err(error),
        }
    }

    async fn preview_once(&self, branch: &BranchId, wanted: &PreviewRequest) -> Result<String, KeboolaError> {
        let PreviewRequest {
            table,
            columns,
            order_by,
            limit,
        } = wanted;
        let path = [
            "branch",
            branch.as_str(),
            "tables",
            table.as_str(),
            "data-preview",
        ];
        let mut request = self.storage(
            format!("the preview of table {table} in branch {branch}"),
            &path,
            &[],
        )?;
        {
            let mut query = request.url.query_pairs_mut();
            query
                .append_pair("format", "rfc")
                .append_pair("limit", &limit.to_string());
            if !columns.is_empty() {
                query.append_pair("columns", &columns.join(","));
            }
            for (index, column) in order_by.iter().enumerate() {
                query.append_pair(&format!("orderBy[{index}][column]"), column);
                query.append_pair(&format!("orderBy[{index}][order]"), "ASC");
            }
        }
        self.0.http.text(&request).await
    }

    /// Asks for a branch's newest Storage events, newest first. A token that is no master token is shown its own
    /// events only.
    pub async fn events(&self, branch: &BranchId, limit: u32) -> Result<Vec<StorageEvent>, KeboolaError> {
        let what = format!("the events of branch {branch}");
        let page = [
            ("component", "storage"),
            ("sortOrder", "desc"),
            ("limit", &*limit.to_string()),
        ];
        let request = self.storage(what, &["branch", branch.as_str(), "events"], &page)?;
        self.get_list(request, StorageEvent::parse_list).await
    }

    /// Asks for the newest 10,000 jobs of a search, or the oldest, by its order, a page at a time; its limit and offset do not count.
    #[must_use]
    pub fn job_pages(&self, search: JobSearch) -> JobPages {
        JobPages::new(self.clone(), search)
    }

    /// Asks for one page of jobs. What has no readable id is left out.
    pub async fn search_jobs(&self, search: &JobSearch) -> Result<Vec<Job>, KeboolaError> {
        Ok(self.jobs_page(search).await?.jobs)
    }

    /// The same, with those that have no usable id.
    pub(crate) async fn jobs_page(&self, search: &JobSearch) -> Result<JobsPage, KeboolaError> {
        let parameters = search.parameters();
        let parameters: Vec<(&str, &str)> = parameters
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        let request = self
            .queue_request("jobs", &["search", "jobs"], &parameters)
            .await?;
        self.get_list(request, Job::parse_page).await
    }

    /// Asks for one job.
    pub async fn job(&self, id: &str) -> Result<Job, KeboolaError> {
        self.get(
            self.queue_request(&format!("job {id}"), &["jobs", id], &[])
                .await?,
            Job::parse,
        )
        .await
    }

    async fn light_list(
        &self,
        what: String,
        branch: &BranchId,
        query: &[(&str, &str)],
    ) -> Result<Vec<ListedConfiguration>, KeboolaError> {
        let request = self.storage(what, &["branch", branch.as_str(), "components"], query)?;
        let components = self
            .0
            .http
            .list(&request, ListedConfiguration::parse_component)
            .await?;
        Ok(components.into_iter().flatten().collect())
    }

    async fn queue_request(
        &self,
        what: &str,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Request, KeboolaError> {
        let queue = self.queue().await?.clone();
        address(what.to_owned(), queue, path.iter().copied(), query)
    }

    async fn queue(&self) -> Result<&Url, KeboolaError> {
        let find = || async {
            let request = self.storage("the services", &[], &[("exclude", "components")])?;
            let index = self.get(request, Index::parse).await?;
            let url = index
                .services
                .get("queue")
                .ok_or(KeboolaError::NoService { service: "queue" })?;
            parse_origin("services.queue", url)
        };
        self.0.queue.get_or_try_init(find).await
    }

    fn of_config(
        &self,
        branch: &BranchId,
        component: &ComponentId,
        config: &ConfigId,
        rest: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Request, KeboolaError> {
        let of = if rest.is_empty() {
            String::new()
        } else {
            format!("{} of ", rest.join(" "))
        };
        let what = format!("{of}configuration {component}/{config} in branch {branch}");
        let start = [
            "branch",
            branch.as_str(),
            "components",
            component.as_str(),
            "configs",
            config.as_str(),
        ];
        let path = ["v2", "storage"]
            .into_iter()
            .chain(start)
            .chain(rest.iter().copied());
        address(what, self.0.storage.clone(), path, query)
    }

    fn storage(
        &self,
        what: impl Into<String>,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Request, KeboolaError> {
        let path = ["v2", "storage"].into_iter().chain(path.iter().copied());
        address(what.into(), self.0.storage.clone(), path, query)
    }

    async fn get<T>(
        &self,
        request: Request,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Result<T, KeboolaError> {
        self.get_list(request, |text| parse(text.sound()?)).await
    }

    /// Asks for something of which parts may be no text.
    async fn get_list<T>(
        &self,
        request: Request,
        parse: impl FnOnce(Text<'_>) -> Result<T, Problem>,
    ) -> Result<T, KeboolaError> {
        let received = self.0.http.received(&request).await?;
        parse(received.text()).map_err(|detail| KeboolaError::Malformed {
            what: request.what,
            detail,
        })
    }
}

fn metadata_list(text: &str) -> Result<Vec<Metadata>, Problem> {
    let entries = items(text.into())?.into_iter();
    entries.map(|text| Metadata::parse(text.raw())).collect()
}

/// Builds an address. An id such as `..` would lead to another endpoint, and is refused.
fn address<'p>(
    what: String,
    mut url: Url,
    path: impl Iterator<Item = &'p str>,
    query: &[(&str, &str)],
) -> Result<Request, KeboolaError> {
    let refuse = |what, detail: &str| {
        Err(KeboolaError::Malformed {
            what,
            detail: detail.to_owned(),
        })
    };
    {
        let Ok(mut segments) = url.path_segments_mut() else {
            return refuse(what, "its address has no path");
        };
        segments.pop_if_empty();
        for part in path {
            let dots = part.to_ascii_lowercase().replace("%2e", ".");
            if matches!(&*dots, "" | "." | "..") {
                return refuse(what, "the id cannot be part of an address");
            }
            segments.push(part);
        }
    }
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(Request { what, url })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(part: &str, expected: Option<&str>) {
        let base = Url::parse("https://connection.keboola.com/").unwrap();
        let found = address("x".into(), base, ["v2", part, "z"].into_iter(), &[("a", "b+c")]);
        assert_eq!(
            found.ok().map(|request| request.url.to_string()).as_deref(),
            expected,
            "{part}"
        );
    }

    #[test]
    fn an_id_stays_one_segment_of_the_address() {
        check(
            "in.c-main.t",
            Some("https://connection.keboola.com/v2/in.c-main.t/z?a=b%2Bc"),
        );
        check(
            "a/b?c#d %",
            Some("https://connection.keboola.com/v2/a%2Fb%3Fc%23d%20%25/z?a=b%2Bc"),
        );
        check("..", None);
        check("%2E.", None);
        check(".", None);
    }
}
