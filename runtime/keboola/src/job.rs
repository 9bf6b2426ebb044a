//! Jobs of the Queue API.

use crate::{
    client::KeboolaClient,
    error::KeboolaError,
    item::{Unread, item},
    json::{Members, Problem, items},
    text::Text,
};
use jiff::Timestamp;
use mirror_core::ids::{BranchId, ComponentId, ConfigId, RunId};

/// A job's status in the Queue API's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobStatus {
    Created,
    Waiting,
    Processing,
    Terminating,
    Terminated,
    Cancelled,
    Success,
    Warning,
    Error,
    /// A word that is not documented; the job's text has it.
    Unknown,
}

impl JobStatus {
    fn parse(raw: &str) -> Self {
        match raw {
            "created" => Self::Created,
            "waiting" => Self::Waiting,
            "processing" => Self::Processing,
            "terminating" => Self::Terminating,
            "terminated" => Self::Terminated,
            "cancelled" => Self::Cancelled,
            "success" => Self::Success,
            "warning" => Self::Warning,
            "error" => Self::Error,
            _ => Self::Unknown,
        }
    }

    /// Says whether the job will not change any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Terminated | Self::Cancelled | Self::Success | Self::Warning | Self::Error => true,
            Self::Created | Self::Waiting | Self::Processing | Self::Terminating | Self::Unknown => false,
        }
    }

    /// Returns the word the API uses; none for an unknown one.
    #[must_use]
    pub fn as_str(self) -> Option<&'static str> {
        Some(match self {
            Self::Created => "created",
            Self::Waiting => "waiting",
            Self::Processing => "processing",
            Self::Terminating => "terminating",
            Self::Terminated => "terminated",
            Self::Cancelled => "cancelled",
            Self::Success => "success",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Unknown => return None,
        })
    }
}

/// A run of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Id in the Queue API.
    pub id: String,
    /// `1.2.3` for a child of a child.
    pub run_id: RunId,
    pub branch_id: Option<BranchId>,
    pub component_id: Option<ComponentId>,
    /// None for a run without a stored configuration.
    pub config_id: Option<ConfigId>,
    pub status: JobStatus,
    pub created: Option<Timestamp>,
    pub started: Option<Timestamp>,
    pub ended: Option<Timestamp>,
    /// The version of the configuration that ran; none where the job does not say.
    pub config_version: Option<u64>,
    /// The job's JSON text as received.
    pub source: String,
}

impl Job {
    /// Reads a page of a search.
    pub(crate) fn parse_page(text: Text<'_>) -> Result<JobsPage, Problem> {
        let mut page = JobsPage::default();
        for text in items(text)? {
            match item(text, Self::parse, listed_id) {
                Ok(job) => page.jobs.push(job),
                Err(unread) => page.unread.push(unread),
            }
        }
        Ok(page)
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Problem> {
        let members = Members::parse(text)?;
        let id = members.text("id").ok_or("`id` of a job is missing")?;
        let run_id = members
            .text("runId")
            .filter(|run_id| !run_id.is_empty())
            .unwrap_or_else(|| id.clone());
        let given = |name: &str| members.text(name).filter(|text| !text.is_empty());
        Ok(Self {
            run_id: RunId::parse(&run_id).map_err(|error| error.to_string())?,
            branch_id: given("branchId").and_then(|id| BranchId::parse(&id).ok()),
            component_id: given("component").and_then(|id| ComponentId::parse(&id).ok()),
            config_id: given("config").and_then(|id| ConfigId::parse(&id).ok()),
            status: JobStatus::parse(&members.text_or_empty("status")),
            created: members.time("createdTime"),
            started: members.time("startTime"),
            ended: members.time("endTime"),
            config_version: members
                .object("result")
                .and_then(|result| result.number("configVersion")),
            source: text.to_owned(),
            id,
        })
    }
}

/// Returns the id under which a job that cannot be read is listed, whatever it is made of.
fn listed_id(members: &Members<'_>) -> Result<String, Problem> {
    let run_id = members.text("runId").filter(|run_id| !run_id.is_empty());
    run_id
        .or_else(|| members.text("id"))
        .ok_or_else(|| "`id` of a job is missing".into())
}

/// A page of a search.
#[derive(Debug, Default)]
pub(crate) struct JobsPage {
    pub(crate) jobs: Vec<Job>,
    /// What is on the page too, and has no usable id.
    pub(crate) unread: Vec<Unread<String>>,
}

/// Jobs of a search that have no usable id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnreadJobs {
    /// How many there are in all.
    pub count: usize,
    /// The first [`UnreadJobs::FIRST_MAX`] of them, each with the text that stands in the place of its id: anybody may have
    /// written that, and it may be of any length.
    pub first: Vec<Unread<String>>,
}

impl UnreadJobs {
    /// So many of them are held.
    pub const FIRST_MAX: usize = 20;

    /// Adds those of a page.
    fn add(&mut self, unread: Vec<Unread<String>>) {
        self.count += unread.len();
        let room = Self::FIRST_MAX - self.first.len();
        self.first.extend(unread.into_iter().take(room));
    }
}

/// Which jobs to look for; they come by the time they ended, earliest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSearch {
    /// Ended at or after this time. Jobs become visible late: begin earlier than the last one seen.
    pub ended_from: Option<Timestamp>,
    pub ended_to: Option<Timestamp>,
    pub branch_id: Option<BranchId>,
    pub component_id: Option<ComponentId>,
    pub config_id: Option<ConfigId>,
    pub statuses: Vec<JobStatus>,
    /// By the time at which they ended: oldest first, unless this is set.
    pub newest_first: bool,
    /// Jobs of one page.
    pub limit: u32,
    pub offset: u32,
}

impl Default for JobSearch {
    fn default() -> Self {
        Self {
            ended_from: None,
            ended_to: None,
            branch_id: None,
            component_id: None,
            config_id: None,
            statuses: Vec::new(),
            newest_first: false,
            limit: 100,
            offset: 0,
        }
    }
}

/// Jobs of one page, the most that the API gives.
const PAGE: u32 = 500;
/// Pages of one search: 10,000 jobs.
const PAGES_MAX: u32 = 20;

/// The jobs of a search, page by page; see [`KeboolaClient::job_pages`].
#[derive(Debug)]
pub struct JobPages {
    client: KeboolaClient,
    search: JobSearch,
    left: u32,
    unread: UnreadJobs,
}

impl JobPages {
    pub(crate) fn new(client: KeboolaClient, search: JobSearch) -> Self {
        let search = JobSearch {
            limit: PAGE,
            offset: 0,
            ..search
        };
        Self {
            client,
            search,
            left: PAGES_MAX,
            unread: UnreadJobs::default(),
        }
    }

    /// Asks for the next page; none after the last one, and after so many. While pages are read, jobs that end may push
    /// others onto the next one, which then comes twice.
    ///
    /// # Errors
    /// As every call's.
    pub async fn next(&mut self) -> Result<Option<Vec<Job>>, KeboolaError> {
        if self.left == 0 {
            return Ok(None);
        }
        let JobsPage { jobs, unread } = self.client.jobs_page(&self.search).await?;
        let count = jobs.len() + unread.len();
        self.unread.add(unread);
        self.search.offset += PAGE;
        self.left = if count < PAGE as usize { 0 } else { self.left - 1 };
        Ok((count > 0).then_some(jobs))
    }

    /// Returns the jobs without a usable id on the pages so far; one that comes on two pages is counted twice.
    #[must_use]
    pub fn unread(&self) -> &UnreadJobs {
        &self.unread
    }
}

impl JobSearch {
    /// Returns the query's parameters.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, String)> {
        let Self {
            ended_from,
            ended_to,
            branch_id,
            component_id,
            config_id,
            statuses,
            newest_first,
            limit,
            offset,
        } = self;
        let order = if *newest_first { "desc" } else { "asc" };
        let mut parameters = vec![("sortBy", "endTime".to_owned()), ("sortOrder", order.to_owned())];
        let time = |time: &Timestamp| time.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string();
        parameters.extend(ended_from.as_ref().map(|at| ("endTimeFrom", time(at))));
        parameters.extend(ended_to.as_ref().map(|at| ("endTimeTo", time(at))));
        parameters.extend(branch_id.as_ref().map(|id| ("branchId[]", id.to_string())));
        parameters.extend(component_id.as_ref().map(|id| ("component[]", id.to_string())));
        parameters.extend(config_id.as_ref().map(|id| ("configId[]", id.to_string())));
        let words = statuses.iter().filter_map(|status| status.as_str());
        parameters.extend(words.map(|word| ("status[]", word.to_owned())));
        parameters.push(("limit", limit.to_string()));
        parameters.push(("offset", offset.to_string()));
        parameters
    }
}
