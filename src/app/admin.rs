//! The admin plane's state and thread, and the files that it reads again.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::store::Fleet;
use super::{Running, StartError, UPKEEP_EVERY, flags, store};
use crate::admin::auth::{Tokens, TokensFile};
use crate::admin::files::{self, FileError, Look, Reread};
use crate::admin::gate::{self, Gate};
use crate::admin::health::Health;
use crate::admin::tls::Secure;
use crate::admin::{self, AdminState, Changes, HostPolicy, MetricsPage, OnChange, Turns};
use crate::config::AdminConfig;
use crate::domain::transition::waits;
use crate::fleet::session::Identity;
use crate::net::{BoundListener, TcpListener};
use crate::proxy::worker::Shared;
use crate::shadow::Records;
use crate::telemetry::events::TransitionWaits;
use crate::telemetry::{FlagIndex, Telemetry};

/// Between two looks at whether a flip can go on, where there is no fleet.
const STEPS_WITHIN: Duration = Duration::from_millis(10);

/// And at whether there is one that waits.
const SEEN_WITHIN: Duration = Duration::from_millis(200);

/// The admin plane's files, and what of them is in force.
#[derive(Default)]
pub(super) struct AdminFiles {
    tokens: Option<Arc<ArcSwap<Tokens>>>,
    secure: Option<Secure>,
    watched: Vec<Box<dyn Look>>,
}

impl AdminFiles {
    /// Reads those that are configured.
    ///
    /// # Errors
    /// Where one of them can't be used.
    pub(super) fn read(config: &AdminConfig) -> Result<Self, FileError> {
        let mut files = Self::default();
        if let Some(path) = config.tokens_file.clone() {
            let tokens = Reread::open(TokensFile { path })?;
            files.tokens = Some(tokens.in_force());
            files.watched.push(Box::new(tokens));
        }
        if let Some(tls) = &config.tls {
            let certificate = Reread::open(tls.clone())?;
            files.secure = Some(Secure::with(certificate.in_force()));
            files.watched.push(Box::new(certificate));
        }
        Ok(files)
    }
}

/// Puts together what the admin plane shows and changes.
pub(super) fn state(
    shared: &Arc<Shared>,
    health: &Arc<Health>,
    me: Identity,
    (files, address): (&AdminFiles, SocketAddr),
    (fleet, records): (Option<Fleet>, Records),
) -> AdminState {
    let telemetry = shared.telemetry.clone();
    let content_type = telemetry.content_type();
    let (changes, view) = match fleet {
        Some(fleet) => (Changes::Fleet(fleet.flags), fleet.view),
        None => {
            let tell = flags::tell_of_own_changes(&shared.store, &telemetry);
            let flags = shared.store.clone();
            let alone = Arc::new(ArcSwap::from_pointee(store::alone(&me, &flags)));
            let view = Arc::clone(&alone);
            let on_change = OnChange::new(move |name, from, to| {
                tell(name, from, to);
                alone.store(Arc::new(store::alone(&me, &flags)));
            });
            (Changes::Local(on_change), view)
        }
    };
    let open = gate::open_at(address, shared.config.admin.open);
    AdminState {
        store: shared.store.clone(),
        health: Arc::clone(health),
        metrics: MetricsPage { render: Box::new(move || telemetry.render()), content_type },
        gate: Gate::new(files.tokens.clone(), open),
        secure: files.secure.clone(),
        hosts: HostPolicy::for_listener(address),
        changes,
        fleet: view,
        records,
        turns: Turns::default(),
        telemetry: shared.telemetry.clone(),
    }
}

/// Starts the admin plane's thread.
pub(super) fn spawn(
    state: AdminState,
    listener: BoundListener,
    files: AdminFiles,
) -> Result<(oneshot::Sender<()>, Running), StartError> {
    let (stop, stopped) = oneshot::channel::<()>();
    let runtime = Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
    let running = super::spawn("admin".to_owned(), move || {
        runtime.block_on(async move {
            let Ok(listener) = TcpListener::from_std(listener) else {
                return;
            };
            let stopped = async {
                stopped.await.ok();
            };
            let (health, telemetry) = (Arc::clone(&state.health), state.telemetry.clone());
            let state = Arc::new(state);
            tokio::select! {
                () = admin::serve(listener, Arc::clone(&state), stopped) => {}
                () = take_steps(&state) => {}
                () = files::keep_up(files.watched, health, telemetry.clone()) => {}
                () = upkeep(&telemetry) => {}
            }
        });
    })?;
    Ok((stop, running))
}

/// Without a fleet: takes the steps of flips that wait for updates of this process.
async fn take_steps(state: &Arc<AdminState>) {
    if !matches!(state.changes, Changes::Local(_)) {
        return pending().await;
    }
    loop {
        let moving = state.store.is_waited_for();
        tokio::time::sleep(if moving { STEPS_WITHIN } else { SEEN_WITHIN }).await;
        tell_of_waits(state);
        if !state.store.can_step() {
            continue;
        }
        let state = Arc::clone(state);
        // It writes to the disk.
        let taken = tokio::task::spawn_blocking(move || {
            if let Changes::Local(on_change) = &state.changes {
                on_change.tell_steps(|tell| state.store.take_steps(tell));
            }
        });
        taken.await.ok();
    }
}

fn tell_of_waits(state: &AdminState) {
    let (store, fleet) = (&state.store, state.fleet.load());
    for (index, (seed, flag)) in (0..).zip(store.seeds().iter().zip(&store.snapshot().states)) {
        let own = store.ledger().progress(usize::from(index));
        let waiting = waits(flag, &fleet.reports(&seed.name, own));
        TransitionWaits { flag: FlagIndex(index), waiting: &waiting }.emit(&state.telemetry);
    }
}

async fn upkeep(telemetry: &Telemetry) {
    let mut every = tokio::time::interval(UPKEEP_EVERY);
    loop {
        every.tick().await;
        telemetry.upkeep();
    }
}
