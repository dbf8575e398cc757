//! One series of `target_info` for each job.

use std::{collections::BTreeMap, sync::Arc};

use super::{Place, Snapshot, TARGET_INFO};
use crate::{LabelSet, Value};

impl Snapshot {
    /// Keeps of each job what was said last, as specified: `target_info` is joined to the series of its job, and a second
    /// one would make every such query fail. Of two that were said at the same time it is the one with the greater labels,
    /// so that the outcome does not depend on the order of arrival. After states were merged it is to be done again.
    pub fn settle_targets(&mut self) {
        let Some(shared) = self.families.get_mut(TARGET_INFO) else { return };
        let mut latest: BTreeMap<String, (u64, LabelSet)> = BTreeMap::new();
        for (labels, series) in &shared.series {
            let job = labels.get("job").unwrap_or_default();
            let time_ms = if let Value::Gauge(gauge) = &series.value { gauge.time_ms() } else { 0 };
            // In the order of labels, so that the last of two that are as late is the greater.
            if latest.get(job).is_none_or(|(known_ms, _)| *known_ms <= time_ms) {
                latest.insert(job.to_owned(), (time_ms, labels.clone()));
            }
        }
        if latest.len() == shared.series.len() {
            return;
        }
        let is_latest = |labels: &LabelSet| {
            latest.get(labels.get("job").unwrap_or_default()).is_some_and(|(_, kept)| kept == labels)
        };
        if let Some(touched) = &mut self.touched {
            let replaced = shared.series.keys().filter(|labels| !is_latest(labels));
            replaced.for_each(|labels| touched.note_removed(Place::new(&shared.descriptor, labels)));
        }
        Arc::make_mut(shared).retain(is_latest);
    }
}
