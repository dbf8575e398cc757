//! Fires cron triggers, each in its minute.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::super::cloud::Cloud;
use super::super::cron::{Cron, Moment};
use super::super::ids;
use super::super::state::State;
use super::Edge;

const TICK: Duration = Duration::from_millis(200);

/// The running clock. It stops when dropped.
pub(crate) struct Clock {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Clock {
    /// Fires from the next minute on.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn start(cloud: Arc<Cloud>, edge: Arc<Edge>) -> std::io::Result<Self> {
        let is_over = Arc::<AtomicBool>::default();
        let stop = Arc::clone(&is_over);
        let thread = thread::Builder::new().name("clock".to_owned()).spawn(move || {
            let mut last = minute();
            while !stop.load(Ordering::Relaxed) {
                thread::sleep(TICK);
                let now = minute();
                if now == last {
                    continue;
                }
                last = now;
                for (account, script, cron) in due(&cloud.state(), ids::moment(now)) {
                    let edge = Arc::clone(&edge);
                    thread::spawn(move || {
                        if let Err(error) = edge.schedule(&account, &script, &cron, now * 60_000) {
                            eprintln!("fake-cloudflare: {error}");
                        }
                    });
                }
            }
        })?;
        Ok(Self { is_over, thread: Some(thread) })
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic there was printed.
            drop(thread.join());
        }
    }
}

fn minute() -> u64 {
    ids::now().as_secs() / 60
}

/// Account, script and expression of what fires now.
fn due(state: &State, now: Moment) -> Vec<(String, String, String)> {
    let fires = |cron: &str| Cron::parse(cron).is_some_and(|cron| cron.fires_at(now));
    let scripts =
        state.accounts.iter().flat_map(|account| account.scripts.values().map(|script| (&account.id, script)));
    let schedules = scripts.flat_map(|(account, script)| {
        script.schedules.iter().map(|schedule| (account.clone(), script.name.clone(), schedule.cron.clone()))
    });
    schedules.filter(|(_, _, cron)| fires(cron)).collect()
}
