//! Putting the lane of a branch together: its names, its settings, and what its files depend on.

use super::{Mirror, StartError, System, secrets_mode};
use crate::{
    branches,
    config::{BranchDirectory, MirrorSpec},
    pipeline::{
        attempt::{Base, Lane},
        progress::Progress,
        spool::SpoolLimits,
        transform::Transformer,
    },
    visibility::Exports,
};
use mirror_core::{
    digest::{RenderDigest, RenderInputs},
    document::Context,
    ids::{BranchId, LaneId, Topic},
    marker::TagKey,
    path::{MirrorPath, OwnedPaths},
    redaction::Redaction,
    sample::SampleLimits,
};
use mirror_git::RefName;
use mirror_keboola::DevBranch;
use secrecy::ExposeSecret;
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// Raised by releases whose output changes.
const FORMAT_VERSION: u32 = 2;

/// Directory of the default branch below `configs/`, and of others unless it is configured otherwise.
const MAIN: &str = "main";
/// Directory of a branch of whose name nothing can stand in a path.
const UNNAMED_DIRECTORY: &str = "branch";
/// Of a dev branch's name, so much goes into the name of its Git branch.
const BRANCH_SLUG_BYTES_MAX: usize = 100;

impl System {
    /// Puts the lane of one branch together.
    ///
    /// # Errors
    /// A branch name that cannot be a ref.
    pub async fn lane(
        &self,
        mirror: &Mirror,
        branch: DevBranch,
        default: &BranchId,
    ) -> Result<Lane, StartError> {
        let spec = &mirror.spec;
        let id = LaneId {
            mirror: spec.id.clone(),
            branch: branch.id.clone(),
        };
        let wrong = |branch: &str| StartError::Ref {
            mirror: spec.id.clone(),
            branch: branch.to_owned(),
        };
        let default_ref = RefName::branch(&spec.branch).map_err(|_| wrong(&spec.branch))?;
        let visibility = mirror.visibility.current().await;
        let exports = Exports::of(spec, visibility);
        let directory = self.branch_directory(mirror, &id, &branch).await?;
        let transformer = Arc::new(self.transformer(mirror, exports, &branch.id, default, &directory));
        let name = if branch.is_default {
            spec.branch.clone()
        } else {
            self.branch_name(mirror, &id, &branch, Arc::clone(&transformer))
                .await?
        };
        let refname = RefName::branch(&name).map_err(|_| wrong(&name))?;
        transformer
            .layout
            .check_settings(&transformer.context, &transformer.settings)?;
        let render = render_digest(&transformer, spec, exports);
        let base = (!branch.is_default).then(|| Base {
            refname: default_ref,
            transformer: Arc::new(self.transformer(mirror, exports, default, default, MAIN)),
        });
        mirror.notices.name(&branch.id, &name);
        Ok(Lane {
            rendering: self.renderings.of(&id),
            notices: Arc::clone(&mirror.notices),
            topic: Topic {
                stack: spec.stack.clone(),
                project: spec.project.clone(),
                branch: branch.id.clone(),
            },
            id,
            spec: Arc::clone(spec),
            base,
            heirs: Arc::clone(&mirror.heirs),
            filed: Arc::default(),
            deaths: Arc::default(),
            progress: Arc::new(Progress::fed_by(Arc::clone(mirror.source.progress()))),
            deaths_max: self.config.sync.deaths_max,
            memories: Arc::clone(&self.memories),
            turns: Arc::clone(&self.turns),
            refused: Arc::default(),
            unusable_runs: Arc::default(),
            signing: mirror.signing.clone(),
            default_branch: default.clone(),
            exports,
            visibility: Arc::clone(&mirror.visibility),
            branch,
            refname,
            render,
            source: Arc::clone(&mirror.source),
            transformer,
            memory_bytes_max: self.config.sync.rendering_bytes_max(),
            spool: SpoolLimits {
                held_bytes_max: self.config.sync.waiting_bytes_max(),
                file_bytes_max: self.config.sync.spool_bytes_max,
                directory: self.config.data_dir.clone(),
            },
            git: Arc::clone(&mirror.git),
            remote: Arc::clone(&mirror.remote),
            turn: Arc::clone(&mirror.turn),
            log: Arc::clone(&self.log),
            state: Arc::clone(&self.state),
            lease: self.lease.clone(),
            now: self.now,
            window: Duration::from_millis(self.config.window.span_ms),
        })
    }

    /// The Git branch of a dev branch is named once and keeps its name over renames.
    async fn branch_name(
        &self,
        mirror: &Mirror,
        id: &LaneId,
        branch: &DevBranch,
        transformer: Arc<Transformer>,
    ) -> Result<String, StartError> {
        let spec = &mirror.spec;
        let slug = slug(branch, transformer).await?;
        let slug = slug.as_deref().filter(|slug| !slug.is_empty());
        let name = branches::git_branch(spec, slug.unwrap_or(branches::UNNAMED), &branch.id);
        let wished = RefName::branch(&name).map_err(|_| StartError::Ref {
            mirror: spec.id.clone(),
            branch: name.clone(),
        })?;
        // The store may have been lost since it was named; the repository knows.
        let name = branches::existing(mirror, id, &wished).await?.unwrap_or(name);
        Ok(self.state.meta_once(&branches::name_of(id), &name).await?)
    }

    /// So is its directory, where it has one of its own.
    async fn branch_directory(
        &self,
        mirror: &Mirror,
        id: &LaneId,
        branch: &DevBranch,
    ) -> Result<String, StartError> {
        if branch.is_default || mirror.spec.dev_branches.directory == BranchDirectory::Main {
            return Ok(MAIN.to_owned());
        }
        let exports = Exports::of(&mirror.spec, mirror.visibility.current().await);
        let judge = Arc::new(self.transformer(mirror, exports, &branch.id, &branch.id, MAIN));
        let directory = match slug(branch, judge).await?.as_deref() {
            // As the CLI does: that is the default branch's.
            Some(MAIN) => format!("{MAIN}-001"),
            // It calls by its kind what has nothing left of its name.
            Some("") => UNNAMED_DIRECTORY.to_owned(),
            Some(name) => name.to_owned(),
            None => branch.id.to_string(),
        };
        let name = format!("branch-directory {id}");
        Ok(self.state.meta_once(&name, &directory).await?)
    }

    fn transformer(
        &self,
        mirror: &Mirror,
        exports: Exports,
        branch: &BranchId,
        default: &BranchId,
        directory: &str,
    ) -> Transformer {
        let spec = &mirror.spec;
        Transformer {
            layout: self.guests.layout.clone(),
            policies: mirror.policies.clone(),
            shadows: mirror.shadows.clone(),
            filter: self.guests.filter.clone(),
            redaction: Redaction::new(
                secrets_mode(exports.secrets),
                TagKey::derive(
                    self.tag_root.expose_secret().as_bytes(),
                    &spec.stack,
                    &spec.project,
                ),
            ),
            own_secrets: Arc::clone(&mirror.own_secrets),
            seen: Arc::clone(&mirror.seen),
            guard: std::sync::Mutex::default(),
            names: std::sync::Mutex::default(),
            words: std::sync::Mutex::default(),
            owned: OwnedPaths::new(spec.prefix.clone()),
            context: Context {
                stack: spec.stack.clone(),
                project: spec.project.clone(),
                branch: branch.clone(),
            },
            sample_limits: spec.sample_limits,
            settings: lane_settings(spec, exports, branch, default, directory),
            stages: Arc::clone(&self.stages),
        }
    }
}

/// Returns what of a branch's name can stand in a name of ours, which may be nothing; none where the name may not be shown.
async fn slug(branch: &DevBranch, judge: Arc<Transformer>) -> Result<Option<String>, StartError> {
    let raw = branch.name.clone();
    let may_be_shown = tokio::task::spawn_blocking(move || judge.judge_name(&raw)).await??;
    // Words of plain letters, digits and dashes; a ref's segment is a file's name somewhere.
    let mut slug = mirror_core::placement::normalize_name(&branch.name);
    slug.truncate(slug.floor_char_boundary(BRANCH_SLUG_BYTES_MAX));
    let slug = slug.trim_end_matches('-');
    Ok(may_be_shown.then(|| slug.to_owned()))
}

/// Returns the render options of a lane: one branch, in one directory of `configs/`.
fn lane_settings(
    spec: &MirrorSpec,
    exports: Exports,
    branch: &BranchId,
    default: &BranchId,
    directory: &str,
) -> String {
    let number = |id: &str| {
        id.parse::<u64>()
            .map_or_else(|_| json!(id), |number| json!(number))
    };
    json!({
        "project": { "id": number(spec.project.as_str()), "apiHost": spec.stack.as_str() },
        "allowedBranches": [branch.as_str()],
        "defaultBranchId": number(default.as_str()),
        "branchPath": directory,
        "tree": "lane",
        "secretsMode": exports.secrets.as_str(),
        "jobs": spec.jobs.map(|jobs| jobs.render_options()),
    })
    .to_string()
}

/// Everything but the project that decides what a lane's files look like and where they stand.
fn render_digest(transformer: &Transformer, spec: &MirrorSpec, exports: Exports) -> RenderDigest {
    let policies: Vec<(String, String)> = transformer
        .policies
        .iter()
        .map(|policy| policy.identity().clone())
        .chain([(transformer.filter.digest().to_owned(), "{}".to_owned())])
        .collect();
    let options = json!({
        "layout": transformer.settings,
        "prefix": spec.prefix.as_ref().map(MirrorPath::as_str),
        "samples": exports.samples.then(|| sample_options(spec.sample_limits)),
        "jobs": spec.jobs.is_some(),
    });
    RenderDigest::of(&RenderInputs {
        format_version: FORMAT_VERSION,
        renderer: transformer.layout.digest(),
        policies: &policies,
        secrets_mode: exports.secrets.as_str(),
        options: &options.to_string(),
        tag_key_id: &transformer.redaction.tag_key.key_id(),
    })
}

fn sample_options(limits: SampleLimits) -> serde_json::Value {
    let SampleLimits {
        rows_max,
        cell_bytes_max,
        row_bytes_max,
        file_bytes_max,
        tables_max,
    } = limits;
    json!([
        rows_max,
        cell_bytes_max,
        row_bytes_max,
        file_bytes_max,
        tables_max
    ])
}
