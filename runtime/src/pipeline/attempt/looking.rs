//! Fetching what an attempt is to render, and looking at it while more is fetched.

use super::{
    super::{
        error::AttemptError,
        fetch::{Covered, Fetched, Outlet, Scope},
        memory::Memory,
        stages::Stage,
        survey::Survey,
    },
    Lane,
    deaths::without,
};
use mirror_core::{
    cut::{ConfigKey, Cut},
    ids::ObjectKey,
    trial::Record,
};
use std::{collections::BTreeMap, sync::Arc};

impl Lane {
    /// Fetches everything and looks at it.
    pub(super) async fn survey_all(
        &self,
        cut: &Cut,
        memory: &Memory,
        scope: Scope,
    ) -> Result<(Fetched, Survey), AttemptError> {
        let kept_out = self.kept_out().await?;
        let (cut, _) = without(cut, &kept_out);
        let (mut outlet, out) = Outlet::new();
        let fetch = async {
            // What events told long ago of runs that the log no longer has is kept by their days.
            let told = BTreeMap::new();
            let whole = self
                .source
                .whole_for(&self.branch, &cut, memory, scope, told, &mut outlet);
            // All that an attempt goes through would be as large on the stack.
            let fetched = Box::pin(whole).await;
            drop(outlet);
            let mut fetched = fetched?;
            stays(&mut fetched, &kept_out, memory);
            let is_gone = |key: &ConfigKey| cut.configs.get(key).is_some_and(|wanted| wanted.deleted);
            fetched.hold_on(memory.keys(), is_gone);
            Ok(fetched)
        };
        let fetch = self.transformer.stages.watch(Stage::Fetch, fetch);
        let survey = Survey::new(self.spool.clone())
            .keeping_out(Arc::clone(&kept_out))
            .telling(Arc::clone(&self.progress));
        let (mut fetched, survey): (Fetched, Survey) =
            tokio::try_join!(fetch, survey.follow(Arc::clone(&self.transformer), out))?;
        self.warn_of_fetched(std::mem::take(&mut fetched.warnings)).await;
        Ok((fetched, survey))
    }

    /// Looks at a configuration at the version that the tip has, in place of the newest.
    pub(super) async fn earlier(
        &self,
        key: &ConfigKey,
        memory: &Memory,
        mut fetched: Fetched,
        mut survey: Survey,
        newest: &mut BTreeMap<ConfigKey, Covered>,
    ) -> Result<(Fetched, Survey), AttemptError> {
        let Some(had) = memory.covered_of(key) else {
            return Ok((fetched, survey));
        };
        let mut single = self.source.earlier(&self.branch, key, &had).await?;
        let Some(config) = single.configs.remove(key) else {
            return Ok((fetched, survey));
        };
        if let Some(replaced) = fetched.configs.insert(key.clone(), config) {
            newest.insert(key.clone(), Covered::of(&replaced.revision));
        }
        let key = key.clone();
        let survey = self.blocking(move |lane| {
            survey.take_back(&key);
            survey.let_in(&key);
            survey.look_at(&lane.transformer, single.objects)?;
            Ok(survey)
        });
        Ok((fetched, survey.await?))
    }

    /// Fetches what a cut wants and looks at it.
    pub(super) async fn survey_cut(
        &self,
        cut: &Cut,
        memory: &Memory,
        scope: Scope,
    ) -> Result<(Fetched, Survey), AttemptError> {
        let kept_out = self.kept_out().await?;
        let (cut, taken) = without(cut, &kept_out);
        let fetch = async {
            match self.spec.backfill.filter(|_| cut.backfill) {
                Some(spec) => self.source.past(&self.branch.id, &cut, memory, spec).await,
                None => self.source.cut(&self.branch, &cut, memory, scope).await,
            }
        };
        let mut fetched = self.transformer.stages.watch(Stage::Fetch, fetch).await?;
        self.warn_of_fetched(std::mem::take(&mut fetched.warnings)).await;
        let reasons = taken
            .into_iter()
            .filter_map(|key| Some((key.clone(), kept_out.reason(&key)?)));
        fetched.refused.extend(reasons);
        if let Some(limits) = scope.samples {
            fetched.limit_samples(memory.keys(), limits.tables_max);
        }
        let objects = std::mem::take(&mut fetched.objects);
        let survey = self.blocking(move |lane| {
            let mut survey = Survey::new(lane.spool.clone()).keeping_out(kept_out);
            survey.look_at(&lane.transformer, objects)?;
            Ok(survey)
        });
        Ok((fetched, survey.await?))
    }
}

/// Has what is kept out count as it was, where everything was listed: its newest version is not covered.
fn stays(fetched: &mut Fetched, kept_out: &Record, memory: &Memory) {
    if kept_out.isolated.is_empty() {
        return;
    }
    let is_out = |key: &ConfigKey| kept_out.reason(&ObjectKey::from(key.clone())).is_some();
    fetched.configs.retain(|key, config| {
        if !is_out(key) {
            return true;
        }
        let Some(had) = memory.covered_of(key) else {
            return false;
        };
        config.revision.version = had.version;
        config.revision.identifier = Some(had.identifier).filter(|identifier| !identifier.is_empty());
        true
    });
}
