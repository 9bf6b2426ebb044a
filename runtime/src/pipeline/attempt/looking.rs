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
};
use mirror_core::cut::{ConfigKey, Cut};
use std::{collections::BTreeMap, sync::Arc};

impl Lane {
    /// Fetches everything and looks at it.
    pub(super) async fn survey_all(
        &self,
        cut: &Cut,
        memory: &Memory,
        scope: Scope,
    ) -> Result<(Fetched, Survey), AttemptError> {
        let (mut outlet, out) = Outlet::new();
        let fetch = async {
            // What events told long ago of runs that the log no longer has is kept by their days.
            let told = BTreeMap::new();
            let fetched = self
                .source
                .whole_for(&self.branch, cut, memory, scope, told, &mut outlet)
                .await;
            drop(outlet);
            Ok(fetched?)
        };
        let fetch = self.transformer.stages.watch(Stage::Fetch, fetch);
        let survey = Survey::new(self.spool.clone()).follow(Arc::clone(&self.transformer), out);
        tokio::try_join!(fetch, survey)
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
        let fetch = async {
            match self.spec.backfill.filter(|_| cut.backfill) {
                Some(spec) => self.source.past(&self.branch.id, cut, memory, spec).await,
                None => self.source.cut(&self.branch, cut, memory, scope).await,
            }
        };
        let mut fetched = self.transformer.stages.watch(Stage::Fetch, fetch).await?;
        if let Some(limits) = scope.samples {
            fetched.limit_samples(memory.keys(), limits.tables_max);
        }
        let objects = std::mem::take(&mut fetched.objects);
        let survey = self.blocking(move |lane| {
            let mut survey = Survey::new(lane.spool.clone());
            survey.look_at(&lane.transformer, objects)?;
            Ok(survey)
        });
        Ok((fetched, survey.await?))
    }
}
