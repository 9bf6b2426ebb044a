//! The mirror's render options.
//!
//! The members of the head of the CLI's manifest, and a few of our own: `branchPath`,
//! `defaultBranchId`, `tree` (`project` or `lane`), `secretsMode` and `jobs` (`layout`, `log`, `dayBytesMax`).

use crate::{
    api::{Context, LayoutError},
    json::{Json, Object},
    naming::Naming,
};

/// Which branches share the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tree {
    /// All allowed branches of a project, as the CLI has them.
    Project,
    /// One branch, as a mirror commits it.
    Lane,
}

/// How the manifest's configurations are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SortBy {
    Id,
    Path,
}

/// Where job runs stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobsLayout {
    /// A line each in the file of their day.
    DayFiles,
    /// A file each, `jobs/<run id>.json`.
    FilePerRun,
}

/// Which Git branch has the days of job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobsLog {
    /// That of everything else.
    Branch,
    /// One for each month, which the host sees to.
    MonthRefs,
}

/// How the history of job runs is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JobsSettings {
    pub(crate) layout: JobsLayout,
    pub(crate) log: JobsLog,
    /// Bytes of a day's lines past which its successful runs become totals; none: never.
    pub(crate) day_bytes_max: Option<usize>,
}

impl JobsSettings {
    fn parse(source: Option<&Object<'_>>) -> Result<Self, LayoutError> {
        let text = |key| source.and_then(|source| source.text(key));
        let layout = match text("layout") {
            None | Some("day-files") => JobsLayout::DayFiles,
            Some("file-per-run") => JobsLayout::FilePerRun,
            Some(_) => {
                return Err(LayoutError::Settings {
                    problem: "`jobs.layout` is neither `day-files` nor `file-per-run`",
                });
            }
        };
        let log = match text("log") {
            None | Some("branch") => JobsLog::Branch,
            Some("month-refs") => JobsLog::MonthRefs,
            Some(_) => {
                return Err(LayoutError::Settings {
                    problem: "`jobs.log` is neither `branch` nor `month-refs`",
                });
            }
        };
        let day_bytes_max = text("dayBytesMax").map(str::parse).transpose();
        let day_bytes_max = day_bytes_max.map_err(|_| LayoutError::Settings {
            problem: "`jobs.dayBytesMax` is no number of bytes",
        })?;
        Ok(Self {
            layout,
            log,
            day_bytes_max,
        })
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Settings {
    project_id: Option<String>,
    api_host: Option<String>,
    pub(crate) allow_target_env: bool,
    pub(crate) sort_by: SortBy,
    pub(crate) naming: Naming,
    allowed_branches: Option<Vec<Json<'static>>>,
    pub(crate) ignored_components: Vec<String>,
    /// None where the settings say nothing.
    repositories: Option<Vec<Json<'static>>>,
    /// Directory of this branch below `configs/`.
    pub(crate) branch_path: String,
    pub(crate) default_branch_id: Option<String>,
    pub(crate) tree: Tree,
    /// `encrypted` unless set.
    pub(crate) secrets_mode: String,
    pub(crate) jobs: JobsSettings,
}

impl Settings {
    pub(crate) fn parse(text: &str) -> Result<Self, LayoutError> {
        let json = Json::parse(text).map_err(|problem| LayoutError::Settings { problem })?;
        let Json::Object(source) = json else {
            return Err(LayoutError::Settings {
                problem: "they are no JSON object",
            });
        };
        let project = source.object("project");
        let sort_by = match source.str("sortBy") {
            None | Some("id") => SortBy::Id,
            Some("path") => SortBy::Path,
            Some(_) => {
                return Err(LayoutError::Settings {
                    problem: "`sortBy` is neither `id` nor `path`",
                });
            }
        };
        let tree = match source.str("tree") {
            None | Some("lane") => Tree::Lane,
            Some("project") => Tree::Project,
            Some(_) => {
                return Err(LayoutError::Settings {
                    problem: "`tree` is neither `project` nor `lane`",
                });
            }
        };
        let branch_path = source.str("branchPath").unwrap_or("main");
        if branch_path.is_empty() || branch_path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(LayoutError::Settings {
                problem: "`branchPath` is no relative directory",
            });
        }
        let strings = |key| {
            source
                .items(key)
                .iter()
                .filter_map(Json::as_str)
                .map(str::to_owned)
                .collect()
        };
        Ok(Self {
            project_id: project.and_then(|project| project.text("id")).map(str::to_owned),
            api_host: project
                .and_then(|project| project.str("apiHost"))
                .map(str::to_owned),
            allow_target_env: source.is_true("allowTargetEnv"),
            sort_by,
            naming: Naming::read(source.object("naming")),
            allowed_branches: source.get("allowedBranches").and_then(Json::as_array).map(owned),
            ignored_components: strings("ignoredComponents"),
            repositories: source
                .object("templates")
                .map(|templates| owned(templates.items("repositories"))),
            branch_path: branch_path.to_owned(),
            default_branch_id: source.text("defaultBranchId").map(str::to_owned),
            tree,
            jobs: JobsSettings::parse(source.object("jobs"))?,
            secrets_mode: source.str("secretsMode").unwrap_or("encrypted").to_owned(),
        })
    }

    pub(crate) fn is_ignored(&self, component: &str) -> bool {
        component == "keboola.sandboxes" || self.ignored_components.iter().any(|ignored| ignored == component)
    }

    /// Returns a path below the branch directory as one below the mirror's root.
    pub(crate) fn below_branch(&self, path: &str) -> String {
        if path.is_empty() {
            ["configs/", &self.branch_path].concat()
        } else {
            ["configs/", &self.branch_path, "/", path].concat()
        }
    }

    /// Returns the directory of what the layout has no place for. Branches have the same ids, so
    /// that each of several has its own.
    pub(crate) fn extra_root(&self) -> String {
        match self.tree {
            Tree::Lane => "configs-extra".to_owned(),
            Tree::Project => format!("configs-extra/{}", self.branch_path),
        }
    }

    /// Returns the name of a shard of this branch, whose kind and id are put together. Entries of several
    /// branches of one tree are gathered by one host, and must not meet in a shard.
    pub(crate) fn shard(&self, [kind, id]: [&str; 2]) -> String {
        match self.tree {
            Tree::Lane => [kind, id].concat(),
            // No branch's directory has an empty segment.
            Tree::Project => [&self.branch_path, "//", kind, id].concat(),
        }
    }

    /// Takes the name of a shard apart, into what follows the root of each of its files and the rest.
    pub(crate) fn split_shard<'s>(&self, shard: &'s str) -> (String, &'s str) {
        match (self.tree, shard.split_once("//")) {
            (Tree::Project, Some((branch, name))) => (format!("{branch}/"), name),
            _ => (String::new(), shard),
        }
    }

    /// Returns the head of the manifest, up to the branches.
    pub(crate) fn manifest_head<'s>(&'s self, context: &'s Context) -> Object<'s> {
        let mut project = Object::new();
        project.set(
            "id",
            number(self.project_id.as_deref().unwrap_or(&context.project_id)),
        );
        project.set("apiHost", self.api_host.as_deref().unwrap_or(&context.stack));
        let mut head = Object::new();
        head.set("version", 2);
        head.set("project", project);
        head.set("allowTargetEnv", self.allow_target_env);
        head.set(
            "sortBy",
            match self.sort_by {
                SortBy::Id => "id",
                SortBy::Path => "path",
            },
        );
        head.set("naming", self.naming.written.clone());
        let allowed = match (self.tree, &self.allowed_branches) {
            (Tree::Project, Some(allowed)) => allowed.clone(),
            (Tree::Project, None) => vec![Json::from("*")],
            // The CLI must not add the other branches of the project to this tree.
            (Tree::Lane, _) => vec![Json::from(context.branch_id.as_str())],
        };
        head.set("allowedBranches", allowed);
        head.set(
            "ignoredComponents",
            self.ignored_components
                .iter()
                .map(|id| Json::from(id.as_str()))
                .collect::<Vec<_>>(),
        );
        let repositories = self.repositories.clone().unwrap_or_else(default_repositories);
        let mut templates = Object::new();
        if !repositories.is_empty() {
            templates.set("repositories", repositories);
        }
        head.set("templates", templates);
        head
    }
}

/// The settings outlive their text.
fn owned(items: &[Json<'_>]) -> Vec<Json<'static>> {
    items.iter().cloned().map(Json::into_owned).collect()
}

fn default_repositories() -> Vec<Json<'static>> {
    [
        ("keboola", "keboola-as-code-templates"),
        ("keboola-components", "keboola-as-code-templates-components"),
    ]
    .map(|(name, repository)| {
        let url = format!("https://github.com/keboola/{repository}.git");
        Json::Object(Object::from_iter([
            ("type", Json::from("git")),
            ("name", Json::from(name)),
            ("url", Json::from(url)),
            ("ref", Json::from("main")),
        ]))
    })
    .into()
}

/// Returns a decimal id as a number, any other as a string.
pub(crate) fn number(id: &str) -> Json<'_> {
    let decimal = id == "0" || (id.bytes().all(|byte| byte.is_ascii_digit()) && !id.starts_with('0'));
    if decimal && !id.is_empty() {
        Json::Number(id.into())
    } else {
        Json::from(id)
    }
}
