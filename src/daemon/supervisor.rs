//! Owns every task: starts them, watches that none ends unasked, changes them when the configuration does, ends them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::sync::watch::Sender;
use tokio_util::sync::CancellationToken;

use super::control::{Clerk, Counter, Reload};
use super::desk::Desk;
use super::server::Unread;
use super::tasks::Tasks;
use super::{CLOSING, Context, PATIENCE, files, listen, reload, rules, server, watch};
use crate::config::{self, Config};
use crate::error::{Failure, Result};
use crate::status::ServerView;
use crate::status::control::Control;
use crate::web::Web;
use crate::{http, notify};

/// All tasks, and what they were started with.
pub(super) struct Supervisor {
    context: Context,
    config: Config,
    path: Option<PathBuf>,
    /// The port, which stays open when what serves it is replaced.
    listener: std::net::TcpListener,
    /// Who may talk to it.
    web: Web,
    counter: Arc<Counter>,
    wishes: mpsc::Receiver<Reload>,
    desks: BTreeMap<String, (u64, Desk)>,
    unread: Unread,
    /// What goes on while jobs are waited for.
    services: Tasks,
    /// What runs jobs.
    workers: Tasks,
    /// Closes the port.
    closing: CancellationToken,
    /// Whom alerts are sent to.
    notified: Sender<notify::Wanted>,
}

impl Supervisor {
    pub(super) fn start(
        context: Context,
        config: Config,
        path: Option<PathBuf>,
        listener: std::net::TcpListener,
        web: Web,
    ) -> Result<Self> {
        // Wishes that come together are answered one after the other.
        let (wish, wishes) = mpsc::channel(4);
        let counter = Arc::new(Counter::new(context.clone(), wish.clone()));
        let wanted = config.alertmanager.clone().map(Arc::new);
        let mut supervisor = Self {
            notified: Sender::new(wanted),
            unread: Unread::new(config.servers.len()),
            context,
            config,
            path,
            listener,
            web,
            counter,
            wishes,
            desks: BTreeMap::new(),
            services: Tasks::default(),
            workers: Tasks::default(),
            closing: CancellationToken::new(),
        };
        let http = supervisor.config.http.clone();
        supervisor.serve_http(&http)?;
        supervisor.services.spawn(
            "configuration",
            CancellationToken::new(),
            reload::watch(supervisor.context.clone(), supervisor.path.clone(), wish),
        );
        let alerts = notify::run(
            supervisor.context.shared.clone(),
            supervisor.notified.subscribe(),
        );
        let context = supervisor.context.clone();
        supervisor
            .services
            .spawn("notifications", CancellationToken::new(), async move {
                context.before_drain(alerts).await.unwrap_or(Ok(()))
            });
        for note in config::notes(&supervisor.config) {
            tracing::info!("{note}");
        }
        let views = supervisor.context.shared.read(|snapshot| {
            let views = snapshot.servers.iter();
            views
                .map(|view| (view.id, Arc::clone(&view.config)))
                .collect::<Vec<_>>()
        });
        for (id, config) in views {
            supervisor.take_on(id, config);
        }
        supervisor.counter.open(supervisor.desks.clone());
        Ok(supervisor)
    }

    /// Grants what is asked for while it runs.
    pub(super) fn control(&self) -> Arc<dyn Control> {
        Arc::new(Clerk(Arc::clone(&self.counter)))
    }

    /// From the first job to the last answer.
    pub(super) async fn run(&mut self) -> Result<()> {
        let mut result = loop {
            tokio::select! {
                biased;
                () = self.context.stop.draining() => break Ok(()),
                ended = self.services.next() => break Err(ended),
                ended = self.workers.next() => break Err(ended),
                Some((why, tell)) = self.wishes.recv() => {
                    // Nobody may be left who hears it.
                    let _ = tell.send(self.reload(why).await);
                }
            }
        };
        if let Err(failure) = &result {
            tracing::error!("{}", failure.sentence());
        }
        tracing::info!("shutting down");
        self.context
            .shared
            .write(|snapshot| snapshot.draining = true);
        self.context.stop.drain();
        result = result.and(self.workers.finish(PATIENCE).await);
        self.closing.cancel();
        result.and(self.services.finish(CLOSING).await)
    }

    fn serve_http(&mut self, config: &config::Http) -> Result<()> {
        let failed = |error| Failure::io("share the port", error);
        let listener = self.listener.try_clone().map_err(failed)?;
        let listener = TcpListener::from_std(listener).map_err(failed)?;
        let app = http::App::new(
            self.context.shared.clone(),
            self.control(),
            config.token_file.clone(),
            self.web.clone(),
        );
        let closing = self.closing.clone();
        self.services.spawn("http", closing.clone(), async move {
            http::server::serve(listener, app, closing).await;
            Ok(())
        });
        Ok(())
    }

    /// Starts the tasks of a server.
    fn take_on(&mut self, id: u64, config: Arc<config::Server>) {
        let name = config.name.clone();
        let desk = Desk::new(config);
        let context = &self.context;
        self.services.spawn(
            format!("probe of {name}"),
            desk.retired(),
            watch::probe(context.clone(), id, desk.clone()),
        );
        self.services.spawn(
            format!("space of {name}"),
            desk.retired(),
            watch::space(context.clone(), id, desk.clone()),
        );
        self.workers.spawn(
            format!("files of {name}"),
            desk.retired(),
            files::watch(context.clone(), id, desk.clone()),
        );
        self.workers.spawn(
            format!("jobs of {name}"),
            desk.retired(),
            server::run(context.clone(), id, desk.clone(), self.unread.clone()),
        );
        self.desks.insert(name, (id, desk));
    }

    async fn reload(&mut self, why: reload::Why) -> Result<()> {
        tracing::info!(why = why.as_str(), "reads the configuration again");
        let result = match reload::read(self.path.clone()).await {
            Ok(config) => self.apply(config).await,
            Err(failure) => Err(failure),
        };
        match &result {
            Ok(()) => tracing::info!("the configuration is in force"),
            Err(failure) => {
                tracing::error!("{}; the one before stays in force", failure.sentence());
            }
        }
        let (now, error) = (
            self.context.clock.now(),
            result.as_ref().err().map(Failure::sentence),
        );
        self.context.shared.write(|snapshot| {
            if error.is_none() {
                snapshot.configured_at = now;
            }
            snapshot.configuration_error = error;
        });
        result
    }

    /// Puts another configuration in force. What can fail comes first.
    async fn apply(&mut self, config: Config) -> Result<()> {
        if config.http.web_config_file != self.config.http.web_config_file {
            self.web = rules(&config.http).await?;
        }
        if config.http.listen != self.config.http.listen {
            self.listener = listen(config.http.listen).await?.0;
        }
        if config.http != self.config.http {
            // The one before answers what it has taken, and takes no more.
            std::mem::take(&mut self.closing).cancel();
            self.serve_http(&config.http)?;
        }
        if config.jobs != self.config.jobs {
            self.context.make_room(config.jobs);
        }
        if config.alertmanager != self.config.alertmanager {
            let wanted = config.alertmanager.clone().map(Arc::new);
            self.notified.send_replace(wanted);
        }
        for note in config::notes(&config) {
            tracing::info!("{note}");
        }
        self.change_servers(&config);
        self.config = config;
        Ok(())
    }

    fn change_servers(&mut self, config: &Config) {
        let mut before = std::mem::take(&mut self.desks);
        let (mut stay, mut come) = (BTreeMap::new(), BTreeMap::new());
        for server in &config.servers {
            let server = Arc::new(server.clone());
            match before.remove(&server.name) {
                // Another directory is another server's past: nothing of what is known holds there.
                Some((id, desk)) if desk.config().directory == server.directory => {
                    if *desk.config() != *server {
                        tracing::info!(server = server.name, "changed");
                        desk.configure(Arc::clone(&server));
                    }
                    stay.insert(server.name.clone(), (id, server));
                    self.desks.insert(desk.config().name.clone(), (id, desk));
                }
                other => {
                    if let Some((_, desk)) = other {
                        desk.retire();
                    }
                    tracing::info!(server = server.name, "new");
                    let view = ServerView::new(Arc::clone(&server));
                    come.insert(server.name.clone(), (view.id, view));
                }
            }
        }
        for (name, (_, desk)) in before {
            tracing::info!(server = name, "gone from the configuration");
            desk.retire();
        }
        let order: Vec<_> = config.servers.iter().map(|server| &server.name).collect();
        let new: Vec<_> = come
            .values()
            .map(|(id, view)| (*id, Arc::clone(&view.config)))
            .collect();
        self.context.shared.write(|snapshot| {
            let mut views: BTreeMap<String, ServerView> = std::mem::take(&mut snapshot.servers)
                .into_iter()
                .filter_map(|mut view| {
                    let (id, config) = stay.get(&view.config.name)?;
                    view.config = Arc::clone(config);
                    (view.id == *id).then(|| (view.config.name.clone(), view))
                })
                .collect();
            views.extend(come.into_iter().map(|(name, (_, view))| (name, view)));
            snapshot.servers = order
                .iter()
                .filter_map(|name| views.remove(*name))
                .collect();
        });
        for (id, config) in new {
            self.take_on(id, config);
        }
        self.counter.open(self.desks.clone());
    }
}
