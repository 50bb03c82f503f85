//! Sessions on a server: what libpq's defaults make of a connection, the password, TLS, and who owns the task behind it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

use super::passfile::{self, Wanted};
use super::url::Secret;
use super::version::Version;
use super::{tls, user};
use crate::config::{Connection, PasswordSource, SslMode};
use crate::error::{Failure, FailureKind, Result};

const DEFAULT_PORT: u16 = 5432;

/// What sessions are called that need no name of their own.
const APPLICATION_NAME: &str = "pgvigil";

/// Sessions that look at what others wait for wait for nothing themselves.
const WATCHING_OPTIONS: &str = "-c statement_timeout=3s -c lock_timeout=1s";

const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where PostgreSQL packages put their sockets.
const SOCKET_DIRECTORIES: [&str; 2] = ["/var/run/postgresql", "/tmp"];

/// A connection with libpq's defaults applied: everything but the database and the secret.
#[derive(Clone, Debug)]
pub struct Target {
    /// Host name, address, or socket directory.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User.
    pub user: String,
    /// Database for questions about the cluster.
    pub database: String,
    password: PasswordSource,
    /// A password that was typed; it wins over `password`.
    typed: Option<Secret>,
    sslmode: SslMode,
    sslrootcert: Option<PathBuf>,
    connect_timeout: Duration,
    /// Settings of each session, which win over those of databases and roles.
    options: String,
    /// What sessions are called on the server.
    application_name: String,
    /// The databases that may be entered, by the names they are asked for; none where all may.
    only: Option<Arc<BTreeMap<String, String>>>,
}

/// What a database's own settings must not do to us in a server of ours: make it read-only, have us act as someone else,
/// ask for libraries that are not here, or give us less time than it takes.
const OWN_SERVER_OPTIONS: &str = "-c default_transaction_read_only=off -c role=none -c session_preload_libraries= \
     -c local_preload_libraries= -c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 -c standard_conforming_strings=on";

/// The same as far as a role may set it that is no superuser.
const ORDINARY_OPTIONS: &str = "-c default_transaction_read_only=off -c role=none -c local_preload_libraries= \
     -c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 -c idle_session_timeout=0 \
     -c synchronous_commit=off";

/// The same for settings that came later: triggers on login and on DDL, and a limit for whole transactions.
const OPTIONS_SINCE_17: &str = " -c transaction_timeout=0 -c event_triggers=off";

/// Where a password was found; what it is stays inside.
enum Password {
    None,
    Plain(String),
    File(PathBuf),
}

/// A session. The connection behind it ends with it.
pub struct Session {
    client: Client,
    driver: Driver,
}

/// The task that moves the session's bytes.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl std::ops::Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Session {
    fn new<C>(client: Client, connection: C) -> Self
    where
        C: Future<Output = std::result::Result<(), tokio_postgres::Error>> + Send + 'static,
    {
        // What goes wrong with the connection, each request on it says too.
        Self {
            client,
            driver: Driver(tokio::spawn(async move { drop(connection.await) })),
        }
    }

    /// Ends the session and waits until the server has been told.
    pub async fn close(self) {
        let Self { client, mut driver } = self;
        drop(client);
        let _ = (&mut driver.0).await;
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}", self.user, self.host, self.port)
    }
}

impl Target {
    /// Applies libpq's defaults.
    pub fn resolve(connection: &Connection) -> Result<Self> {
        let port = connection.port.unwrap_or(DEFAULT_PORT);
        let host = connection
            .host
            .clone()
            .filter(|host| !host.is_empty())
            .unwrap_or_else(|| default_host(port));
        let user = match &connection.user {
            Some(user) => user.clone(),
            None => user::own_name().ok_or_else(|| {
                Failure::new(
                    FailureKind::Config,
                    "choose the user to connect as: this system has no name for our own user",
                )
                .remedy("set PGUSER, or user in the configuration")
            })?,
        };
        Ok(Self {
            host,
            port,
            user,
            database: connection
                .database
                .clone()
                .unwrap_or_else(|| "postgres".to_owned()),
            password: connection.password.clone(),
            typed: None,
            sslmode: connection.sslmode,
            sslrootcert: connection.sslrootcert.clone(),
            connect_timeout: connection
                .connect_timeout
                .unwrap_or(DEFAULT_CONNECT_TIMEOUT),
            options: String::new(),
            application_name: APPLICATION_NAME.to_owned(),
            only: None,
        })
    }

    /// A server of ours behind a socket.
    pub fn local(socket_directory: &Path, user: &str, database: &str) -> Self {
        Self {
            host: socket_directory.to_string_lossy().into_owned(),
            port: DEFAULT_PORT,
            user: user.to_owned(),
            database: database.to_owned(),
            password: PasswordSource::Environment,
            typed: None,
            sslmode: SslMode::Disable,
            sslrootcert: None,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            options: OWN_SERVER_OPTIONS.to_owned(),
            application_name: APPLICATION_NAME.to_owned(),
            only: None,
        }
    }

    /// The same, for sessions that read what was restored: no trigger of the dump runs in them.
    #[must_use]
    pub fn for_reading(&self, version: Version) -> Self {
        let mut target = self.clone();
        if version.major >= 17 {
            target.options.push_str(OPTIONS_SINCE_17);
        }
        target
    }

    /// The same with another name for its sessions, by which they are known on the server.
    #[must_use]
    pub fn called(&self, application_name: impl Into<String>) -> Self {
        let mut target = self.clone();
        target.application_name = application_name.into();
        target
    }

    /// What its sessions are called on the server.
    pub fn application_name(&self) -> &str {
        &self.application_name
    }

    /// The same, for short looks that may not wait. They are not called as the sessions that they look at.
    #[must_use]
    pub fn for_watching(&self) -> Self {
        let mut target = self.called(APPLICATION_NAME);
        WATCHING_OPTIONS.clone_into(&mut target.options);
        target
    }

    /// The same with another database for questions.
    #[must_use]
    pub fn in_database(&self, database: &str) -> Self {
        let mut target = self.clone();
        database.clone_into(&mut target.database);
        target
    }

    /// The same, for sessions that restore: what is set for databases and roles does not get in their way, and they do not
    /// wait for the disk at every statement. Who makes the last one durable makes all of them so.
    #[must_use]
    pub fn for_restoring(&self, version: Version) -> Self {
        let mut target = self.clone();
        target.options = format!("{OWN_SERVER_OPTIONS} -c synchronous_commit=off");
        if version.major >= 14 {
            target.options.push_str(" -c idle_session_timeout=0");
        }
        if version.major >= 17 {
            target.options.push_str(OPTIONS_SINCE_17);
        }
        target
    }

    /// The same for scratch databases of a server that others use, whose user need not be a superuser. That server is of
    /// version 15 or newer.
    #[must_use]
    pub fn for_scratch_databases(&self, version: Version) -> Self {
        let mut target = self.clone();
        ORDINARY_OPTIONS.clone_into(&mut target.options);
        if version.major >= 17 {
            target.options.push_str(" -c transaction_timeout=0");
        }
        target
    }

    /// The same, confined to some of the server's databases: `names` gives what each is called there by the name it is
    /// asked for. No session is opened in any other.
    #[must_use]
    pub fn confined(&self, names: BTreeMap<String, String>) -> Self {
        let mut target = self.clone();
        target.only = Some(Arc::new(names));
        target
    }

    /// What a database is called on the server.
    pub fn database_named(&self, name: &str) -> Result<String> {
        let Some(only) = &self.only else {
            return Ok(name.to_owned());
        };
        only.get(name).cloned().ok_or_else(|| {
            Failure::new(
                FailureKind::Scratch,
                format!("connect to database {name} as {self}: it is none of ours"),
            )
        })
    }

    /// The same with a password that was typed.
    #[must_use]
    pub fn with_password(mut self, password: Secret) -> Self {
        self.typed = Some(password);
        self
    }

    fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }

    /// libpq's environment for a program that connects as we do.
    pub fn environment(&self) -> Result<Vec<(String, OsString)>> {
        let mut environment: Vec<(String, OsString)> = [
            ("PGHOST", self.host.clone()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", self.user.clone()),
            ("PGSSLMODE", self.sslmode.as_str().to_owned()),
            (
                "PGCONNECT_TIMEOUT",
                self.connect_timeout.as_secs().max(1).to_string(),
            ),
            ("PGAPPNAME", self.application_name.clone()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
        if !self.options.is_empty() {
            environment.push(("PGOPTIONS".to_owned(), self.options.clone().into()));
        }
        if let Some(path) = &self.sslrootcert {
            environment.push(("PGSSLROOTCERT".to_owned(), path.into()));
        }
        match self.password()? {
            Password::None => {}
            Password::Plain(password) => {
                environment.push(("PGPASSWORD".to_owned(), password.into()));
            }
            Password::File(path) => environment.push(("PGPASSFILE".to_owned(), path.into())),
        }
        Ok(environment)
    }

    fn password(&self) -> Result<Password> {
        if let Some(Secret(typed)) = &self.typed {
            return Ok(Password::Plain(typed.clone()));
        }
        match &self.password {
            PasswordSource::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Failure::new(
                        FailureKind::Config,
                        format!("read the password from {}", path.display()),
                    )
                    .because(error)
                    .remedy("make the file readable for the user that pgvigil runs as")
                })?;
                Ok(Password::Plain(
                    text.trim_end_matches(['\r', '\n']).to_owned(),
                ))
            }
            PasswordSource::PassFile(path) => Ok(Password::File(path.clone())),
            PasswordSource::Environment => Ok(environment_password()),
        }
    }

    fn password_for(&self, database: &str) -> Result<Option<String>> {
        match self.password()? {
            Password::None => Ok(None),
            Password::Plain(password) => Ok(Some(password)),
            Password::File(path) => {
                let text = std::fs::read_to_string(&path).map_err(|error| {
                    Failure::new(
                        FailureKind::Config,
                        format!("read password file {}", path.display()),
                    )
                    .because(error)
                })?;
                let wanted = Wanted {
                    host: &self.host,
                    port: self.port,
                    database,
                    user: &self.user,
                };
                Ok(passfile::lookup(&text, wanted))
            }
        }
    }

    /// Opens a session in a database.
    pub async fn session(&self, database: &str) -> Result<Session> {
        let on = self.database_named(database)?;
        let mut config = Config::new();
        config
            .host(&self.host)
            .port(self.port)
            .user(&self.user)
            .dbname(&on)
            .application_name(&self.application_name)
            .options(&self.options)
            .connect_timeout(self.connect_timeout)
            .tcp_user_timeout(Duration::from_secs(60))
            .ssl_mode(match self.sslmode {
                _ if self.is_socket() => tokio_postgres::config::SslMode::Disable,
                SslMode::Disable => tokio_postgres::config::SslMode::Disable,
                SslMode::Prefer => tokio_postgres::config::SslMode::Prefer,
                SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
                    tokio_postgres::config::SslMode::Require
                }
            });
        if let Some(password) = self.password_for(&on)? {
            config.password(password);
        }
        let connecting = async {
            if self.is_socket() || self.sslmode == SslMode::Disable {
                let (client, connection) = config
                    .connect(NoTls)
                    .await
                    .map_err(|error| self.refused(database, &error))?;
                Ok(Session::new(client, connection))
            } else {
                let connector = tls::connector(self.sslmode, self.sslrootcert.as_deref())?;
                let (client, connection) = config
                    .connect(connector)
                    .await
                    .map_err(|error| self.refused(database, &error))?;
                Ok(Session::new(client, connection))
            }
        };
        // connect_timeout covers the socket only; a server may take the connection and say nothing.
        match tokio::time::timeout(self.connect_timeout * 2, Box::pin(connecting)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::new(
                FailureKind::Connect,
                format!("connect to database {database} as {self}: the server does not answer"),
            )
            .remedy("check that it runs and that the network lets us through")),
        }
    }

    fn refused(&self, database: &str, error: &tokio_postgres::Error) -> Failure {
        let refused = [
            SqlState::INVALID_PASSWORD,
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            SqlState::INSUFFICIENT_PRIVILEGE,
        ];
        let without_password = error.code().is_none()
            && ServerError::from(error)
                .to_string()
                .contains("password missing");
        let (kind, remedy) = if without_password
            || error.code().is_some_and(|code| refused.contains(code))
        {
            (
                FailureKind::Auth,
                "check the user and where its password comes from (password_file, PGPASSFILE, PGPASSWORD)",
            )
        } else {
            (
                FailureKind::Connect,
                "check that the server runs, its host and port, and that the network lets us through",
            )
        };
        Failure::new(kind, format!("connect to database {database} as {self}"))
            .because(ServerError::from(error))
            .remedy(remedy)
    }
}

fn default_host(port: u16) -> String {
    let socket = format!(".s.PGSQL.{port}");
    let with_socket = SOCKET_DIRECTORIES
        .into_iter()
        .find(|directory| Path::new(directory).join(&socket).exists());
    with_socket.unwrap_or("localhost").to_owned()
}

fn environment_password() -> Password {
    if let Some(password) = std::env::var("PGPASSWORD")
        .ok()
        .filter(|password| !password.is_empty())
    {
        return Password::Plain(password);
    }
    // As libpq has it: a file that is not there is no error.
    let named = std::env::var_os("PGPASSFILE")
        .map(PathBuf::from)
        .filter(|path| path.is_file());
    let usual = std::env::var_os("HOME")
        .map(|home| Path::new(&home).join(".pgpass"))
        .filter(|path| path.is_file());
    named.or(usual).map_or(Password::None, Password::File)
}

/// Most characters of each part of a server's error: some quote a whole value.
const LONGEST_PART: usize = 400;

/// What a server said, in one line: tokio-postgres' own text is just "db error".
#[derive(Debug)]
pub struct ServerError(String);

impl From<&tokio_postgres::Error> for ServerError {
    fn from(error: &tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            let mut text = error.to_string();
            let mut cause = std::error::Error::source(error);
            while let Some(inner) = cause {
                let own = inner.to_string();
                if !text.contains(&own) {
                    text.push_str(": ");
                    text.push_str(&own);
                }
                cause = inner.source();
            }
            return Self(text);
        };
        let message: String = said.message().chars().take(LONGEST_PART).collect();
        let mut text = format!("{message} (SQLSTATE {}", said.code().code());
        for (name, value) in [
            ("detail", said.detail()),
            ("hint", said.hint()),
            ("where", said.where_()),
        ] {
            if let Some(value) = value {
                let value: String = value.chars().take(LONGEST_PART).collect();
                text.push_str(&format!(", {name}: {value}"));
            }
        }
        text.push(')');
        Self(text)
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ServerError {}
